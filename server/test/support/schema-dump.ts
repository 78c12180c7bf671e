import type pg from 'pg'

/** The schema as text, the same for the same schema: what the migrations come to in the end. */
export async function dumpSchema(client: pg.Client): Promise<string> {
  const ask = async (text: string): Promise<string[]> => {
    const { rows } = await client.query<{ line: string }>(text)
    return rows.map(({ line }) => line)
  }
  const parts = [
    ...(await ask(extensions)),
    ...(await ask(sequences)),
    ...(await ask(functions)),
    ...(await ask(tables)),
  ]
  return `${[header, ...parts].join('\n\n')}\n`
}

const header = '-- What the migrations make; made from the catalogue of a migrated database.'

const extensions = `
  select format('create extension %s;', extname) as line from pg_extension
  where extname <> 'plpgsql' order by extname`

const sequences = `
  select format('create sequence %s start with %s;', c.relname, s.seqstart) as line
  from pg_class c join pg_sequence s on s.seqrelid = c.oid
  where c.relnamespace = current_schema()::regnamespace order by c.relname collate "C"`

const functions = `
  select pg_get_functiondef(p.oid) || ';' as line from pg_proc p
  where p.pronamespace = current_schema()::regnamespace
    and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')
  order by p.proname collate "C"`

/** Columns in their order, then constraints and the indexes that no constraint brought. */
const tables = `
  select format(E'create table %s (\\n%s\\n);%s', c.relname,
    (select string_agg(part, E',\\n' order by kind, place, part collate "C") from (
      select 1 as kind, a.attnum as place, format('  %s %s%s%s%s', a.attname,
        format_type(a.atttypid, a.atttypmod),
        case when l.collname is not null and l.collname <> 'default'
          then format(' collate "%s"', l.collname) else '' end,
        case when a.attnotnull then ' not null' else '' end,
        case when d.adbin is null then ''
          when a.attgenerated = 's' then
            format(' generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
          else format(' default %s', pg_get_expr(d.adbin, d.adrelid)) end) as part
      from pg_attribute a
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      left join pg_collation l on l.oid = a.attcollation
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      union all
      select 2, case k.contype when 'p' then 1 when 'u' then 2 when 'f' then 3 else 4 end,
        format('  constraint %s %s', k.conname, pg_get_constraintdef(k.oid))
      from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n') as parts),
    coalesce((select string_agg(E'\\n' || replace(pg_get_indexdef(i.indexrelid),
        current_schema() || '.', '') || ';', '' order by i.indexrelid::regclass::text collate "C")
      from pg_index i where i.indrelid = c.oid
        and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)), '')
    ) as line
  from pg_class c
  where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
  order by c.relname collate "C"`
