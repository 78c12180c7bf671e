import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { renderLetter } from '../src/modules/notifications/rules/render.ts'
import { templates, writeLetter } from '../src/modules/notifications/rules/templates.ts'
import { templateNames } from '../src/modules/notifications/schema.ts'

/** Each mail as a reader gets it, to be looked at: a changed file is a changed mail. */
const goldenFolder = path.resolve(import.meta.dirname, 'golden/mails')
const house = {
  name: 'Fairwater',
  publicUrl: 'https://fairwater.example',
  timeZone: 'Europe/London',
}
const secret = { token: 'a-token', expiresAt: '2026-11-22T17:40:21.000Z' }

test.each(templateNames)('%s looks as it did (UPDATE_GOLDEN=1 rewrites it)', async (name) => {
  const letter = writeLetter(name, templates[name].sample, { house, secret })
  const { subject, text, html } = renderLetter(letter, house)
  const forms = { txt: `Subject: ${subject}\n\n${text}`, html }
  await mkdir(goldenFolder, { recursive: true })
  for (const [form, content] of Object.entries(forms)) {
    const file = path.join(goldenFolder, `${name}.${form}`)
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, content)
    expect(await readFile(file, 'utf8')).toBe(content)
  }
})

test('no preview stays of a mail that is gone', async () => {
  const expected = templateNames.flatMap((name) => [`${name}.html`, `${name}.txt`])
  expect((await readdir(goldenFolder)).toSorted()).toEqual(expected.toSorted())
})
