/**
 * Who stands behind an address, for counting: an IPv4 address itself, of an IPv6 address the
 * network of 64 bits, because one party has all of it (RFC 6177). IPv4 written as IPv6 is IPv4, and
 * a port that a proxy wrote behind an address is nobody's. What is no address, such as an account,
 * is itself.
 */
export function partyOf(text: string): string {
  if (!text.includes(':')) return text
  const address = text.replace(portBehind, '$1$2')
  const groups = groupsOf(address)
  if (!groups) return address
  const [network, high = 0, low = 0] = [groups.slice(0, 4), groups[6], groups[7]]
  const isIpv4 = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isIpv4) return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  return `${network.map((group) => group.toString(16)).join(':')}::/64`
}

/** `203.0.113.9:8080`, or `[2001:db8::1]` with a port or without one (RFC 7239, section 6). */
const portBehind = /^(?:(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([^[\]]*)\](?::\d{1,5})?)$/

const groupCount = 8

/** The eight numbers of an IPv6 address; undefined where the text is none. */
function groupsOf(address: string): number[] | undefined {
  const [withoutZone = ''] = address.split('%')
  const halves = withoutZone.replace(dottedEnd, toHexGroups).split('::')
  if (halves.length > 2) return undefined
  const [head = [], tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = groupCount - head.length - (tail?.length ?? 0)
  // The two colons stand for one group or more; without them all eight are written.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...Array<string>(missing).fill('0'), ...(tail ?? [])]
  return groups.every((group) => /^[\da-f]{1,4}$/i.test(group))
    ? groups.map((group) => Number.parseInt(group, 16))
    : undefined
}

/** The last 32 bits may be written as an IPv4 address (RFC 4291, section 2.2). */
const dottedEnd = /(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

function toHexGroups(_match: string, ...parts: string[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}
