import pg from 'pg'

const connectTimeoutMs = 10_000

/** A connection that may be busy with one statement, or quiet in one transaction, for hours. */
export async function connectForCopies(url: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  })
  // The statement that meets a lost connection says so; without a listener the process would end.
  client.on('error', () => undefined)
  await client.connect()
  // Of a text that another server reads: the same words for the same values.
  await client.query(`
    set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
    set client_encoding = 'UTF8'; set timezone = 'UTC'; set datestyle = 'ISO';
    set intervalstyle = 'postgres'; set extra_float_digits = 1`)
  return client
}
