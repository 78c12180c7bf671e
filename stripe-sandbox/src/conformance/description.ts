import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/** The part of JSON Schema that Stripe's OpenAPI description uses for requests. */
export interface Schema {
  type?: 'array' | 'boolean' | 'integer' | 'number' | 'object' | 'string'
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  items?: Schema
  enum?: string[]
  anyOf?: Schema[]
  maxLength?: number
}

interface SpecOperation {
  parameters?: { in: string; name: string; required?: boolean; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema } | undefined> }
}

export interface Description {
  paths: Record<string, Record<string, SpecOperation | undefined>>
}

/** One sample of every resource, by its name. */
export type Fixtures = Record<string, Record<string, unknown> | undefined>

/** Reads Stripe's OpenAPI description, JSON or gzipped JSON. */
export function readDescription(path: string): Description {
  return readJson(path) as Description
}

/** Reads Stripe's fixtures. */
export function readFixtures(path: string): Fixtures {
  return (readJson(path) as { resources: Fixtures }).resources
}

/** The schema that a request to this method and path must fit; undefined for an unknown one. */
export function findRequestSchema(
  description: Description,
  method: string,
  path: string,
): { template: string; schema: Schema } | undefined {
  const template = findTemplate(Object.keys(description.paths), path)
  if (template === undefined) return undefined
  const operation = description.paths[template]?.[method.toLowerCase()]
  if (operation === undefined) return undefined
  const schema = method === 'POST' ? bodySchema(operation) : querySchema(operation)
  return { template, schema }
}

/** The path template that fits; of several the one with the most literal parts. */
function findTemplate(templates: string[], path: string): string | undefined {
  const parts = path.split('/')
  return templates
    .filter((template) => {
      const pattern = template.split('/')
      return (
        pattern.length === parts.length &&
        pattern.every((part, index) => part.startsWith('{') || part === parts[index])
      )
    })
    .toSorted((a, b) => a.split('{').length - b.split('{').length)[0]
}

function bodySchema(operation: SpecOperation): Schema {
  const body = operation.requestBody?.content['application/x-www-form-urlencoded']
  return body?.schema ?? { additionalProperties: false, properties: {}, type: 'object' }
}

function querySchema({ parameters = [] }: SpecOperation): Schema {
  const inQuery = parameters.filter((parameter) => parameter.in === 'query')
  return {
    additionalProperties: false,
    properties: Object.fromEntries(inQuery.map(({ name, schema }) => [name, schema])),
    required: inQuery.filter(({ required }) => required === true).map(({ name }) => name),
    type: 'object',
  }
}

function readJson(path: string): unknown {
  const bytes = readFileSync(path)
  return JSON.parse((path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString())
}
