import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { findChromium } from '../support/chromium.ts'

const installTimeoutMs = 600_000
const pageTimeoutMs = 20_000

let browser: Browser
let shop: Server
let shopUrl: string
let app: TestApp
let context: BrowserContext

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: await findChromium(),
    // Nothing that the browser does by itself shall be mistaken for what a page does.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
    ],
  })
  shop = createServer((request, response) => {
    const page = request.url === '/thanks' ? 'Thank you for your order' : 'Nothing was bought'
    response.setHeader('content-type', 'text/html').end(`<title>Shop</title><h1>${page}</h1>`)
  }).listen(0, '127.0.0.1')
  await once(shop, 'listening')
  shopUrl = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`
  app = await startTestApp({ business: { allowedOrigins: [shopUrl] } })
}, installTimeoutMs)

afterAll(async () => {
  await browser?.close()
  await app?.close()
  shop?.closeAllConnections()
  shop?.close()
})

beforeEach(async () => {
  context = await browser.newContext()
  context.setDefaultTimeout(pageTimeoutMs)
})

afterEach(async () => {
  await context.close()
})

describe('the hosted page', () => {
  test('pays an order, which learns it through the webhook alone', async () => {
    const { order, orderToken, payment } = await checkOut()
    expect([order.paymentStatus, payment.status]).toEqual(['unpaid', 'pending'])
    const page = await open(payment.url)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('149.00')
    await pay(page, '4242 4242 4242 4242')
    await page.waitForURL(`${shopUrl}/thanks`)
    expect(await page.getByRole('heading').textContent()).toBe('Thank you for your order')

    const paid = await waitUntilPaid(order.id, orderToken)
    expect(paid).toMatchObject({
      status: 'confirmed',
      paid: order.total,
      payments: [{ status: 'succeeded' }],
      case: { status: 'new' },
    })
  })

  test('says why a card was declined, and takes another on the same page', async () => {
    const { order, orderToken, payment } = await checkOut()
    const page = await open(payment.url)
    await pay(page, '4000 0000 0000 0002')
    const alert = page.getByRole('alert')
    await alert.waitFor()
    expect(await alert.textContent()).toMatch(/declined/i)
    await app.runJobs()
    expect(await readOrder(order.id, orderToken)).toMatchObject({ status: 'pending', case: null })

    await pay(page, '4242 4242 4242 4242')
    await page.waitForURL(`${shopUrl}/thanks`)
    const paid = await waitUntilPaid(order.id, orderToken)
    expect(paid).toMatchObject({ status: 'confirmed', paid: order.total })
    expect(paid.payments.map(({ status }: { status: string }) => status)).toEqual(['succeeded'])
  })

  test('lets go without paying', async () => {
    const { order, orderToken, payment } = await checkOut()
    const page = await open(payment.url)
    await page.getByRole('link', { name: /cancel/i }).click()
    await page.waitForURL(`${shopUrl}/basket`)
    await app.runJobs()
    const left = await readOrder(order.id, orderToken)
    expect(left).toMatchObject({ status: 'pending', paid: { amount: 0 } })
  })
})

describe('GET /docs', () => {
  test('shows the API, tries it, and asks no other host for anything', async () => {
    const page = await context.newPage()
    const foreign: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url())
      if (origin !== app.url && protocol !== 'data:') foreign.push(request.url())
    })
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))

    await page.goto(`${app.url}/`)
    expect(new URL(page.url()).pathname).toMatch(/^\/docs/)
    await page.locator('[data-tag="catalog"]').click()
    const operation = page.locator('#operations-catalog-listServices')
    await operation.locator('.opblock-summary-control').click()
    await operation.getByRole('button', { name: 'Execute' }).click()
    const reply = operation.locator('.live-responses-table tbody .response-col_status').first()
    await reply.waitFor()
    expect(await reply.textContent()).toContain('200')

    expect(foreign).toEqual([])
    expect(complaints).toEqual([])
  })
})

/** A guest's checkout of one service, to be paid on the hosted page. */
async function checkOut() {
  const { body: service } = await app.request('POST /api/services', {
    token: await app.as('manager'),
    body: { name: 'Company', price: { amount: 14_900, currency: 'GBP' }, status: 'active' },
  })
  const { status, body } = await app.request('POST /api/checkout/process', {
    body: {
      items: [{ serviceId: service.id, quantity: 1 }],
      customer: { email: 'ada@example.com', name: 'Ada Lovelace' },
      mode: 'hosted',
      successUrl: `${shopUrl}/thanks`,
      cancelUrl: `${shopUrl}/basket`,
    },
  })
  expect(status).toBe(201)
  return body
}

async function open(url: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url)
  return page
}

async function pay(page: Page, cardNumber: string): Promise<void> {
  await page.getByLabel('E-mail').fill('ada@example.com')
  await page.getByLabel('Name on card').fill('Ada Lovelace')
  await page.getByLabel('Card number').fill(cardNumber)
  await page.getByLabel('Expiry (MM/YY)').fill('12/49')
  await page.getByLabel('Security code').fill('123')
  await page.getByRole('button', { name: /^Pay / }).click()
}

async function readOrder(id: string, orderToken: string) {
  const { status, body } = await app.request(`GET /api/orders/${id}`, { orderToken })
  expect(status).toBe(200)
  return body
}

/** Events arrive when the stand-in sends them: nobody confirms, only jobs run. */
async function waitUntilPaid(id: string, orderToken: string) {
  return await vi.waitFor(
    async () => {
      await app.runJobs()
      const order = await readOrder(id, orderToken)
      expect(order.paymentStatus).toBe('paid')
      return order
    },
    { timeout: pageTimeoutMs, interval: 100 },
  )
}
