import { describe, expect, test } from 'vitest'
import { partyOf } from './address.ts'

describe('partyOf', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:cb00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::203.0.113.9', '64:ff9b:0:0::/64'],
  ])('counts %s as %s', (address, party) => {
    expect(partyOf(address)).toBe(party)
  })

  test.each([
    ['usr_01jd8q9yg8e5v9c0m4t7k2x3za'],
    ['unknown'],
    [''],
    ['a:b'],
    ['1:2:3'],
    ['::1::2'],
    ['1:2:3:4:5:6:7:8:9'],
    ['1:2:3:4:5:6:7::8:9'],
    ['12345::'],
    ['203.0.113.9:8080'],
  ])('leaves %s, which is no IPv6 address, as it is', (text) => {
    expect(partyOf(text)).toBe(text)
  })
})
