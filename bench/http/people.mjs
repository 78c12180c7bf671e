/** Tokens of the demo's people, and ids of what it sells: all that workloads name. */
export async function introduce({ url, password }) {
  const ask = async (method, path, { token, body } = {}) => {
    const reply = await fetch(new URL(path, url), {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
    return await reply.json()
  }
  const signIn = async (path, email) => {
    const { accessToken } = await ask('POST', path, { body: { email, password } })
    return accessToken
  }
  const admin = await signIn('/api/auth/admin/login', 'admin@fairwater.example')
  const customer = await signIn('/api/auth/login', 'amelia.hart@example.com')
  const { data } = await ask('GET', '/api/services?limit=100')
  return { admin, customer, password, service: data[0].id }
}
