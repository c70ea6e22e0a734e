//! One session and its one transaction: opened, looked at, kept to the end, and ended in order whatever happens.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bocage_net::secret::read_secret_text;
use bocage_protocol::limits::SECRET_FILE_BYTES;
use futures_util::future::poll_fn;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Connection, Error as Driver};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::columns::{Cast, describe, select};
use super::error::{At, connecting};
use super::role::may_write;
use super::socket::{Allowance, Metered, dial};
use super::{Form, PgColumn, PgError, PostgresSource, Rows, Tls, tls};

/// How much longer than the server's own time-out an answer is waited for.
const GRACE: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Before there is any transaction. Said when the session begins, so that behind a pooler of connections it cannot stay for others.
const READ_ONLY: &str = "-c default_transaction_read_only=on";
/// What makes a transaction one that reads only, sees one state, and writes values as we read them. `SET LOCAL` holds behind a pooler of connections too.
const BEGIN: &str = "\
    begin transaction isolation level repeatable read, read only; \
    set local datestyle = 'ISO, YMD'; set local intervalstyle = 'iso_8601'; set local timezone = 'UTC'; \
    set local extra_float_digits = 3; set local client_min_messages = 'error'; set local lock_timeout = '30s'; \
    set local synchronize_seqscans = off; set local cursor_tuple_fraction = 1; ";

/// Stops a run from another thread.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Notify>);

impl Interrupt {
    /// The next thing that the run waits for ends with [`PgError::Interrupted`]; the server is told to stop.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// A table or query whose columns are known and whose rows are not read yet.
pub struct Opened {
    session: Session,
    columns: Vec<(PgColumn, Cast)>,
}

impl Opened {
    /// Connects, begins the transaction, and looks at the role and at the columns. It blocks, and must not be called from within a `tokio` runtime. It starts no thread,
    /// and what comes later opens no file and no further socket: a process may confine itself behind it.
    ///
    /// # Errors
    /// The server cannot be reached or is another, does not let us in, does not know the table, or the role could write.
    pub fn connect(source: &PostgresSource, interrupt: Interrupt) -> Result<Self, PgError> {
        let session = Session::open(source, interrupt)?;
        let at = session.at(0);
        let begin = format!("{BEGIN}set local statement_timeout = '{}s'", source.timeout_secs);
        session.wait(0, |client| client.batch_execute(&begin))?.map_err(|e| at.preparing(&e))?;
        let all = format!("select * from {} as r", source.relation.sql());
        let statement = session.wait(0, |client| client.prepare(&all))?.map_err(|e| at.preparing(&e))?;
        let writes = session.wait(0, |client| may_write(client, source, &at))?.map_err(|e| at.preparing(&e))?;
        if let Some(error) = writes.filter(|_| !source.allow_writing_role) {
            return Err(error);
        }
        let columns = statement.columns().iter().map(describe).collect();
        Ok(Self { session, columns })
    }

    /// The columns, in the server's order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &PgColumn> {
        self.columns.iter().map(|(column, _)| column)
    }

    /// Begins to read some columns, by their positions.
    ///
    /// # Errors
    /// One of them has several values in one, or the server refuses.
    pub fn rows(self, wanted: &[usize]) -> Result<Rows, PgError> {
        let Opened { session, columns } = self;
        let wanted: Vec<&(PgColumn, Cast)> = wanted.iter().filter_map(|position| columns.get(*position)).collect();
        if let Some((column, _)) = wanted.iter().find(|(column, _)| column.form == Form::Nested) {
            return Err(session.column(&column.name, None, "it holds lists, records or bytes\n  hint: use a query that makes one value of it, or leave it out of the mapping"));
        }
        let names = wanted.iter().map(|(column, _)| column.name.clone()).collect();
        let select = select(&session.source.relation, wanted.into_iter());
        Rows::begin(session, &select, names)
    }
}

/// See the module.
pub(crate) struct Session {
    pub(crate) source: PostgresSource,
    place: String,
    of: String,
    runtime: Runtime,
    client: Option<Client>,
    /// Whether a statement may be running on the server that nobody waits for any more.
    busy: std::cell::Cell<bool>,
    connection: Option<JoinHandle<()>>,
    connector: Option<MakeRustlsConnect>,
    pub(crate) allowance: Allowance,
    interrupt: Interrupt,
}

impl Session {
    fn open(source: &PostgresSource, interrupt: Interrupt) -> Result<Self, PgError> {
        let place = source.place();
        let machine = |e: std::io::Error| PgError::Machine { place: place.clone(), reason: e.to_string() };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(machine)?;
        let mut config = Config::new();
        config.user(&source.user).dbname(&source.database).application_name("bocage").options(READ_ONLY);
        if let Some(file) = &source.password_file {
            let password = read_secret_text(file, SECRET_FILE_BYTES)?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let connector = match &source.tls {
            Tls::VerifyFull { ca_file } => Some(tls::connector(ca_file)?),
            Tls::Off => None,
        };
        config.ssl_mode(if connector.is_some() { SslMode::Require } else { SslMode::Disable });
        let mut session = Self {
            of: source.relation.name(),
            source: source.clone(),
            place,
            runtime,
            client: None,
            busy: std::cell::Cell::new(false),
            connection: None,
            connector,
            allowance: Allowance::new(),
            interrupt,
        };
        let (client, connection) = session.connect(&config)?;
        session.client = Some(client);
        session.connection = Some(connection);
        Ok(session)
    }

    fn connect(&self, config: &Config) -> Result<(Client, JoinHandle<()>), PgError> {
        let at = self.at(0);
        self.runtime.block_on(async {
            let connected = async {
                let stream = dial(&self.source, self.allowance.clone()).await?;
                match self.connector.clone() {
                    Some(mut connector) => {
                        let Ok(tls) = MakeTlsConnect::<Metered>::make_tls_connect(&mut connector, &self.source.host);
                        self.hello(config, stream, tls).await
                    }
                    None => self.hello(config, stream, NoTls).await,
                }
            };
            tokio::select! {
                connected = tokio::time::timeout(GRACE, connected) => connected.unwrap_or_else(|_| Err(at.gone("the server did not answer"))),
                () = self.interrupt.0.notified() => Err(at.interrupted()),
            }
        })
    }

    async fn hello<T>(&self, config: &Config, stream: Metered, tls: T) -> Result<(Client, JoinHandle<()>), PgError>
    where
        T: TlsConnect<Metered>,
        T::Stream: Send + 'static,
    {
        let connected = config.connect_raw(stream, tls).await;
        let (client, connection) = connected.map_err(|e| connecting(&self.place, &self.source.host, &e))?;
        Ok((client, tokio::spawn(drive(connection))))
    }

    /// What is known of an error that comes after so many rows.
    pub(crate) fn at(&self, rows: u64) -> At<'_> {
        At { place: &self.place, of: &self.of, rows }
    }

    pub(crate) fn column(&self, column: &str, row: Option<u64>, reason: &'static str) -> PgError {
        PgError::Column { place: self.place.clone(), of: self.of.clone(), column: column.to_owned(), row, reason }
    }

    /// Runs what asks the server, as long as nobody interrupts it and the server says something.
    pub(crate) fn wait<'a, T, F: Future<Output = T>>(
        &'a self,
        rows: u64,
        ask: impl FnOnce(&'a Client) -> F,
    ) -> Result<T, PgError> {
        let at = self.at(rows);
        let client = self.client.as_ref().ok_or_else(|| at.gone("the session is over"))?;
        self.allowance.renew();
        self.busy.set(true);
        let patience = Duration::from_secs(u64::from(self.source.timeout_secs)) + GRACE;
        let answer = self.runtime.block_on(async {
            tokio::select! {
                answer = tokio::time::timeout(patience, ask(client)) => answer.map_err(|_| at.gone("the server said nothing any more")),
                () = self.interrupt.0.notified() => Err(at.interrupted()),
            }
        })?;
        self.busy.set(false);
        Ok(answer)
    }

    /// Marks that rows are still to come for which nobody waits at the moment.
    pub(crate) fn leave_running(&self) {
        self.busy.set(true);
    }

    async fn cancel(&self, token: CancelToken) {
        let Ok(stream) = dial(&self.source, Allowance::new()).await else { return };
        // Whether it succeeds or not, the connection is closed next.
        let _ = match self.connector.clone() {
            Some(mut connector) => {
                let Ok(tls) = MakeTlsConnect::<Metered>::make_tls_connect(&mut connector, &self.source.host);
                token.cancel_query_raw(stream, tls).await
            }
            None => token.cancel_query_raw(stream, NoTls).await,
        };
    }
}

impl Drop for Session {
    /// Tells the server to stop what it does for us, and takes leave. The transaction ends without a trace either way.
    fn drop(&mut self) {
        let (Some(client), Some(connection)) = (self.client.take(), self.connection.take()) else { return };
        let token = self.busy.get().then(|| client.cancel_token());
        drop(client);
        self.runtime.block_on(async {
            let goodbye = async {
                if let Some(token) = token {
                    self.cancel(token).await;
                }
                let _ = connection.await;
            };
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        });
    }
}

/// Moves bytes until the session ends. Notices of the server are passed over: they can hold values, and the driver would log them.
async fn drive<T>(mut connection: Connection<Metered, T>)
where
    T: tokio_postgres::tls::TlsStream + Unpin,
{
    while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
}

/// How the driver's answer is named here.
pub(crate) type Answer<T> = Result<T, Driver>;
