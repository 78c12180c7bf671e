const json = { 'content-type': 'application/json' }

/**
 * What is measured: a request, over how many connections, beside which controls, and what is asked
 * of it: the least ratio to the first control, statements, milliseconds. `{n}` is another number in
 * each request. The argument holds the tokens and ids of the business.
 */
export function listWorkloads(business) {
  return [...readsOfTheShop(business), ...readsOfStaff(business), ...writes(business)]
}

function readsOfTheShop({ admin, customer, service }) {
  return [
    {
      name: 'list of 20, cached',
      request: get('/api/services'),
      controls: ['fastify', 'raw'],
      bar: { ratio: 0.85, statements: 0 },
    },
    {
      name: 'list of 20, a distinct query each time',
      request: get('/api/services?priceMin=1&priceMax={n}'),
      controls: ['pg', 'bare', 'fastify'],
      bar: { ratio: 0.75, statements: 1 },
    },
    {
      name: 'one service, uncached',
      // What colleagues see is never kept.
      request: get(`/api/services/${service}`, admin),
      controls: ['pg', 'bare', 'fastify'],
      bar: { ratio: 0.75, statements: 1 },
    },
    {
      name: 'search with a typing error',
      request: get('/api/services?q=compny+formaton&priceMax={n}'),
      controls: ['pg', 'bare'],
      connections: 8,
      bar: { p99: 100 },
    },
    {
      name: 'auth/me',
      request: get('/api/auth/me', customer),
      controls: ['fastify', 'raw'],
      bar: { ratio: 0.7, statements: 0 },
    },
  ]
}

function readsOfStaff({ admin }) {
  return [
    {
      name: 'staff list of orders',
      request: get('/api/orders?status=confirmed', admin),
      controls: ['pg', 'bare'],
      bar: { statements: 1 },
    },
    {
      name: 'staff list of cases',
      request: get('/api/crm?status=open', admin),
      controls: ['pg', 'bare'],
      bar: { statements: 1 },
    },
    {
      name: 'staff search of orders',
      request: get('/api/orders?q=amelia', admin),
      controls: ['pg', 'bare'],
      bar: { statements: 1, p99: 150 },
    },
  ]
}

function writes({ password }) {
  return [
    {
      name: 'login',
      request: post('/api/auth/login', { email: 'amelia.hart@example.com', password }),
      controls: ['hash'],
      connections: 8,
      bar: { ratio: 0.85, lagP99: 20 },
    },
  ]
}

function get(path, token) {
  return { method: 'GET', path, headers: token ? { authorization: `Bearer ${token}` } : {} }
}

function post(path, body) {
  return { method: 'POST', path, headers: json, body: JSON.stringify(body) }
}
