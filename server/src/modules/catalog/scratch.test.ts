import { beforeAll, afterAll, test } from 'vitest'
import { startTestApp } from './scratch-app.ts'
import { searchVector } from './rules/search.ts'
import { slugFrom } from './rules/text.ts'
import { newId } from '../../kernel/id.ts'
let app: any
beforeAll(async () => { app = await startTestApp() })
afterAll(async () => { await app.close() })
let seed = 1
const rnd = () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff)
const syl = ['com','pa','li','mi','ted','vi','sa','re','view','ac','count','tax','con','sul','tan','cy','bra','nd','lo','go','for','ma','tion','ser','vi','ce','le','gal','des','ign','mar','ket','ing']
const vocab = ['company','limited','accounts','skilled','worker','visa','review','brand','logo','formation','consultation','trademark', ...Array.from({ length: 5000 }, () => Array.from({ length: 2 + Math.floor(rnd() * 3) }, () => syl[Math.floor(rnd() * syl.length)]).join(''))]
const word = () => vocab[Math.floor(Math.pow(rnd(), 1.7) * vocab.length)]!
const words = (n: number) => Array.from({ length: n }, word).join(' ')
test('perf', async () => {
  const token = await app.as('admin')
  const cats: string[] = []
  for (let i = 0; i < 6; i++) cats.push((await app.request('POST /api/services/categories', { token, body: { name: 'c' + i } })).body.id)
  const t0 = Date.now()
  for (let b = 0; b < 100; b++) {
    const rows = Array.from({ length: 1000 }, (_, i) => {
      const n = b * 1000 + i
      const name = words(3), summary = words(8), description = words(40)
      return { id: newId('svc', new Date()), slug: slugFrom(name) + '-' + n, name, summary, description, category_id: cats[n % 6], price_amount: 1000 + n % 5000, price_currency: 'GBP', options: [], status: n % 20 ? 'active' : 'draft', turnaround_days: null, position: n % 100, metadata: {}, search: searchVector({ name, summary, description }), version: 1, created_at: new Date(), updated_at: new Date(), deleted_at: null }
    })
    await app.sql(`insert into services select * from json_populate_recordset(null::services, $1::json)`, [JSON.stringify(rows)])
  }
  await app.sql(`insert into service_words select word, count(*) from services, unnest(tsvector_to_array(search)) as word where word ~ '^[^0-9]{3,}$' group by word`)
  await app.sql('update categories set active_services = (select count(*) from services where category_id = categories.id and status = $1)', ['active'])
  await app.sql('vacuum analyze services'); await app.sql('vacuum analyze service_words')
  console.log('seed', Date.now() - t0, await app.sql('select count(*), max(services) from service_words'))
  console.log(await app.sql(`select relname, pg_size_pretty(pg_relation_size(oid)) from pg_class where relname like 'service%' order by pg_relation_size(oid) desc`))
  const run = async (label: string, paths: string[], conc = 8, n = 400, tok?: string) => {
    const times: number[] = []
    let i = 0
    const s0 = app.db.statementCount()
    await Promise.all(Array.from({ length: conc }, async () => {
      while (i < n) {
        const p = paths[i++ % paths.length]
        const t = performance.now()
        const r = await app.request('GET ' + p, tok ? { token: tok } : {})
        if (r.status !== 200) console.log(r.status, r.body)
        times.push(performance.now() - t)
      }
    }))
    times.sort((a, b) => a - b)
    console.log(label, 'p50', times[n >> 1]!.toFixed(1), 'p99', times[Math.floor(n * 0.99)]!.toFixed(1), 'max', times.at(-1)!.toFixed(1), 'stmts', (app.db.statementCount() - s0) / n)
  }
  const fs = await import('node:fs')
  const run = async (label: string, paths: string[], conc = 8, n = 400, tok?: string) => {
    const times: number[] = []
    let i = 0
    const s0 = app.db.statementCount()
    await Promise.all(Array.from({ length: conc }, async () => {
      while (i < n) {
        const p = paths[i++ % paths.length]
        const t = performance.now()
        const r = await app.request('GET ' + p, tok ? { token: tok } : {})
        if (r.status !== 200) console.log(r.status, r.body)
        times.push(performance.now() - t)
      }
    }))
    times.sort((a, b) => a - b)
    console.log(label, 'p50', times[n >> 1]!.toFixed(1), 'p99', times[Math.floor(n * 0.99)]!.toFixed(1), 'max', times.at(-1)!.toFixed(1), 'stmts', (app.db.statementCount() - s0) / n, 'load', fs.readFileSync('/proc/loadavg', 'utf8').slice(0, 5))
  }
  for (let pass = 0; pass < 2; pass++) {
    await run('typo', ['/api/services?q=compny', '/api/services?q=skiled%20worker', '/api/services?q=acounts', '/api/services?q=vsia', '/api/services?q=tradmark', '/api/services?q=consultatoin%20brnad'])
    await run('common', ['/api/services?q=company', '/api/services?q=limited'])
    await run('prefix', ['/api/services?q=co', '/api/services?q=c'])
    await run('q+price sort', ['/api/services?q=compny&sort=price', '/api/services?q=limited&sort=-name'])
    await run('q+category', ['/api/services?q=compny&category=c1', '/api/services?q=limited&priceMin=5990'])
    await run('q count', ['/api/services?q=compny&count=true'])
    await run('list', ['/api/services?priceMin=1', '/api/services', '/api/services?sort=-name', '/api/services?category=c2', '/api/services?sort=createdAt'])
    await run('one', ['/api/services/uk-limited'.replace('uk-limited', (await app.request('GET /api/services?limit=1')).body.data[0].slug)])
    await run('cats', ['/api/services/categories'])
  }
  let t = Date.now()
  console.log((await app.request('PATCH /api/services/categories/' + cats[0], { token, body: { name: 'renamed' } })).status, 'rename ms', Date.now() - t)
  t = Date.now()
  const ids = (await app.request('GET /api/services?limit=100', { token })).body.data.map((d: any) => d.id)
  console.log((await app.request('PATCH /api/services/bulk/status', { token, body: { ids, status: 'archived' } })).status, 'bulk100 ms', Date.now() - t)
  t = Date.now()
  console.log((await app.request('POST /api/services', { token, body: { name: words(4), description: words(200), price: { amount: 1, currency: 'GBP' } } })).status, 'create ms', Date.now() - t)
  t = Date.now()
  console.log((await app.request('DELETE /api/services/categories/' + cats[0] + '?moveTo=' + cats[1], { token })).status, 'moveTo ms', Date.now() - t)
  fs.writeFileSync('/tmp/catalog-url', app.database.ownerUrl + '\n' + app.url)
  while (!fs.existsSync('/tmp/catalog-stop')) await new Promise((r) => setTimeout(r, 500))
}, 3000000)
