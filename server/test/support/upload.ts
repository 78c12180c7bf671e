import { readdir } from 'node:fs/promises'
import path from 'node:path'
import type { Reply, TestApp } from './app.ts'
import type { SampleFile } from './sample-files.ts'

export interface UploadOptions {
  readonly token?: string
  readonly orderToken?: string
  readonly fields?: Readonly<Record<string, string>>
  /** Fields stand before the file unless this says otherwise. */
  readonly fileFirst?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends the file as a form, as a browser does. */
export async function upload(
  app: TestApp,
  file: SampleFile,
  { token, orderToken, fields = {}, fileFirst = false, headers = {} }: UploadOptions,
): Promise<Reply> {
  const form = new FormData()
  const appendFile = (): void => {
    form.append('file', new Blob([new Uint8Array(file.bytes)], { type: file.type }), file.name)
  }
  if (fileFirst) appendFile()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  if (!fileFirst) appendFile()
  const response = await fetch(`${app.url}/api/documents/upload`, {
    method: 'POST',
    body: form,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(orderToken ? { 'x-order-token': orderToken } : {}),
      ...headers,
    },
  })
  const text = await response.text()
  const body: unknown = text === '' ? '' : JSON.parse(text)
  return { status: response.status, headers: response.headers, body }
}

/** The bytes of a document, with whatever headers the test sends. */
export async function download(
  app: TestApp,
  address: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  const url = address.startsWith('/') ? app.url + address : address
  const response = await fetch(url, { headers })
  return {
    status: response.status,
    headers: response.headers,
    bytes: Buffer.from(await response.arrayBuffer()),
  }
}

/** A form as no browser writes it: the headers of its one part are the test's own, byte for byte. */
export async function uploadPart(
  app: TestApp,
  { headers, bytes, token }: { headers: string | Buffer; bytes: Buffer; token: string },
): Promise<Reply> {
  const boundary = 'no-browser-writes-this'
  const body = Buffer.concat([
    Buffer.from(`--${boundary}\r\n`),
    Buffer.from(headers),
    Buffer.from('\r\n\r\n'),
    bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return await app.request('POST /api/documents/upload', {
    token,
    rawBody: body,
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  })
}

/** The names of the files in a folder of the store, whatever folder of it they are in. */
export async function filesIn(
  { documentsDirectory }: Pick<TestApp, 'documentsDirectory'>,
  folder: 'kept' | 'incoming',
): Promise<string[]> {
  const entries = await readdir(path.join(documentsDirectory, folder), {
    recursive: true,
    withFileTypes: true,
  })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}
