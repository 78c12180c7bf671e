import serializerOf from 'fast-json-stringify'

/**
 * A function that writes a reply as its schema declares it: members that stand in no schema stay
 * here. Its first call compiles it, like that of a validator.
 */
export function createSerializer(schema: object): (value: unknown) => string {
  let serialize: ((value: unknown) => string) | undefined
  return (value) => {
    serialize ??= serializerOf(schema)
    return serialize(value)
  }
}
