//! Whether the role could change what it reads. A transaction that only reads keeps us from writing; a role that may only read keeps everybody who gets hold of
//! its password.

use tokio_postgres::Client;

use super::PgError;
use super::error::At;
use super::settings::PostgresSource;

/// The relations that the transaction has locked are the tables that it reads, those behind views included.
const WRITABLE: &str = "\
    select n.nspname::text, c.relname::text \
    from pg_catalog.pg_locks l \
    join pg_catalog.pg_class c on c.oid = l.relation \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' \
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) \
      and c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema') \
      and (pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
           or pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE')) \
    order by 1, 2";

const ROLE: &str = "select current_user::text, coalesce((select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user), false)";

/// What the role may write of what this transaction reads, as an error; nothing where it is a role that may only read.
pub(crate) async fn may_write(
    client: &Client,
    source: &PostgresSource,
    at: &At<'_>,
) -> Result<Option<PgError>, tokio_postgres::Error> {
    let row = client.query_one(ROLE, &[]).await?;
    let (role, superuser): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    let mut tables = Vec::new();
    if !superuser {
        for row in client.query(WRITABLE, &[]).await? {
            tables.push((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
        }
        if tables.is_empty() {
            return Ok(None);
        }
    }
    let hint = hint(source, &role, &tables);
    let tables = tables.iter().map(|(schema, table)| format!("{schema}.{table}")).collect();
    Ok(Some(PgError::MayWrite { place: at.place.to_owned(), role, tables, hint }))
}

/// The SQL that gives a role that may only read.
fn hint(source: &PostgresSource, role: &str, tables: &[(String, String)]) -> String {
    use super::settings::quoted;
    let accept = "or accept it with allow_writing_role = true";
    let Some((schema, _)) = tables.first() else {
        return format!(
            "make a role for Bocage alone: CREATE ROLE bocage_reader LOGIN PASSWORD '…'; GRANT CONNECT ON DATABASE {} TO bocage_reader; GRANT USAGE ON SCHEMA … TO bocage_reader; GRANT SELECT ON ALL TABLES IN SCHEMA … TO bocage_reader; {accept}",
            quoted(&source.database)
        );
    };
    let named: Vec<String> =
        tables.iter().map(|(schema, table)| format!("{}.{}", quoted(schema), quoted(table))).collect();
    format!(
        "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {} FROM {}; (an owner, or what PUBLIC or another role hands down, keeps its rights: then make a role of its own with GRANT USAGE ON SCHEMA {} and GRANT SELECT alone); {accept}",
        named.join(", "),
        quoted(role),
        quoted(schema)
    )
}
