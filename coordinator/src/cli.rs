//! The coordinator's command line: `serve`, `check`, and who may use it. Data goes to stdout, everything else to stderr; exit 0 fine, 1 the user's problem, 2 ours.

mod people;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bocage_daemon::log::{self, Level};
use bocage_daemon::notify::Notify;
use bocage_daemon::terminal::Terminal;
use bocage_net::Identities;
use bocage_net::either::Doors;
use bocage_net::quic::QuicServer;
use bocage_net::tcp::TcpServer;
use bocage_protocol::counted::counted;
use bocage_protocol::env::Clock;
use bocage_protocol::settings::Problems;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::backup;
use crate::backup::cli::{BackupArgs, RestoreArgs};
use crate::config::{Config, Setup};
use crate::output::{print, say};
pub use crate::server::{AtMoment, Moment, Patience, Switches};
use crate::server::{Certificates, Order, Reloading, Server};

/// The user's problem: configuration, files, addresses.
const USER: u8 = 1;
/// Ours.
const OURS: u8 = 2;
/// Between two looks at the files of certificates.
const GLANCE: std::time::Duration = std::time::Duration::from_secs(60);
/// What nodes are told.
const STOPPING: &str = "the coordinator is stopping";

/// Run a network's coordinator, and say who may use it
#[derive(Debug, Parser)]
#[command(name = "bocage-coordinator", version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve nodes and researchers until told to stop: SIGTERM lets rounds end, Ctrl-C does not; SIGHUP reads the configuration again
    Serve(Source),
    /// Read the configuration and all files that it names, report every problem, and exit
    Check(Source),
    /// Make, show and disable those who use the HTTP interface
    Users(people::UsersArgs),
    /// Make, show and revoke what they show it
    Tokens(people::TokensArgs),
    /// Show and verify what was changed by whom
    Audit(people::AuditArgs),
    /// Print the OpenAPI document of the HTTP interface
    Openapi,
    /// Keep everything that a coordinator needs in one file, sealed to a public key; also while it runs
    Backup {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        backup: BackupArgs,
    },
    /// Put a backup back where nothing is, or in place of what is moved aside
    Restore(RestoreArgs),
}

#[derive(Debug, Clone, Args)]
struct Source {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "coordinator.toml")]
    config: PathBuf,
    /// Set one key, over file and environment, e.g. --set log.level=debug
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Runs the command line; `args` begin with the program's name.
pub fn main<I, T>(args: I, switches: Switches) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USER) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Action::Check(source) => check(&source, switches.clock.as_ref()),
        Action::Backup { source, backup } => {
            backup::cli::backup(&backup, &source.config, &source.set, switches.clock.now())
        }
        Action::Restore(restore) => backup::cli::restore(&restore, switches.clock.now()),
        Action::Serve(source) => serve(source, switches),
        Action::Users(args) => tell(args.run(switches.clock.as_ref())),
        Action::Tokens(args) => tell(args.run(switches.clock.as_ref())),
        Action::Audit(args) => tell(args.run(switches.clock.as_ref())),
        Action::Openapi => tell(Ok(crate::api::description_text())),
    }
}

fn tell(said: Result<String, String>) -> ExitCode {
    let printed = said.and_then(|text| print(&text).map_err(|error| format!("cannot write the answer: {error}")));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => user_problem(&problem),
    }
}

fn read(source: &Source, clock: &dyn Clock) -> Result<(Config, Setup), Problems> {
    let config = Config::load(&source.config, &source.set)?;
    let setup = Setup::load(&config, clock.now())?;
    Ok((config, setup))
}

fn check(source: &Source, clock: &dyn Clock) -> ExitCode {
    match read(source, clock) {
        Ok((config, setup)) => {
            let (sites, contracts) = (config.sites.len(), setup.contracts.len());
            let has = format!("{}, {}", counted(sites, "site"), counted(contracts, "contract"));
            let publishes = setup.publisher.map(|key| format!("publishes as {key}\n")).unwrap_or_default();
            let fine = format!("{}: fine ({has})\n{publishes}", source.config.display());
            match print(&fine) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => user_problem(&format_args!("cannot write the answer: {error}")),
            }
        }
        Err(problems) => user_problem(&problems),
    }
}

fn user_problem(problem: &dyn std::fmt::Display) -> ExitCode {
    say(format_args!("error: {problem}"));
    ExitCode::from(USER)
}

fn taken(key: &str, address: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> ExitCode {
    let hint = "is a coordinator running already? else choose another port, in the configuration and at the sites";
    user_problem(&format_args!("{key}: cannot listen on {address}: {error}\n  hint: {hint}"))
}

fn serve(source: Source, switches: Switches) -> ExitCode {
    let (config, setup) = match read(&source, switches.clock.as_ref()) {
        Ok(read) => read,
        Err(problems) => return user_problem(&problems),
    };
    let level = log::begin(&config.log, "coordinator");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::from(OURS);
        }
    };
    let exit = runtime.block_on(serve_until_signal(source, config, setup, switches, level));
    // A blocking call that hangs must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(3));
    exit
}

async fn serve_until_signal(
    source: Source,
    config: Config,
    setup: Setup,
    switches: Switches,
    level: Level,
) -> ExitCode {
    let (identities, clock) = (Identities::new(setup.identity), Arc::clone(&switches.clock));
    let quic = match QuicServer::bind(config.quic_listen, &identities, Arc::clone(&clock)) {
        Ok(quic) => quic,
        Err(error) => {
            return taken("quic.listen", &config.quic_listen, &error);
        }
    };
    let counting = |at| TcpServer::counting(at, &identities, Arc::clone(&clock), quic.refused());
    let tcp = match config.tcp_listen.map(counting) {
        Some(Err(error)) => {
            return taken("tcp.listen", &config.tcp_listen.map_or_else(String::new, |at| at.to_string()), &error);
        }
        Some(Ok(tcp)) => Some(tcp),
        None => None,
    };
    let http = match TcpListener::bind(config.api_listen).await {
        Ok(http) => http,
        Err(error) => {
            return taken("api.listen", &config.api_listen, &error);
        }
    };
    let orders = match orders() {
        Ok(orders) => orders,
        Err(error) => return ours(&format_args!("signals cannot be received: {error}")),
    };
    let status = config.status.clone();
    let door = match &status {
        None => None,
        Some(place) => match place.open().await {
            Ok(door) => Some(door),
            Err(error) => return user_problem(&format_args!("status.listen: cannot listen there: {error}")),
        },
    };
    let mut server = match Server::with(&config, setup.contracts, switches) {
        Ok(server) => {
            let server = server.with_revocations(setup.revocations).with_issuing(setup.issuing);
            let server = server.with_enrolments(tcp.as_ref().map(TcpServer::enrolments));
            server
                .with_api_tls(setup.api_tls.zip(config.api_tls.clone()))
                .with_identities(&identities)
                .notifying(Notify::from_env())
        }
        Err(error) => return user_problem(&error),
    };
    if let Some(door) = door {
        let over_tcp = tcp.iter().map(|tcp| ("tcp", tcp.refused()));
        server = server.watched_at(door, [("quic", quic.refused())].into_iter().chain(over_tcp).collect());
    }
    warn_about(&config);
    match (quic.local_address(), http.local_addr()) {
        (Ok(quic), Ok(api)) => tracing::info!(network = %config.network, %quic, %api, "ready"),
        _ => return ours(&"the addresses listened on are unknown"),
    }
    if let Some(tcp) = &tcp {
        tracing::info!(tcp = %tcp.local_address(), "nodes may come over TCP too");
    }
    let certificates = Certificates::new(&config, &identities, &server.context().issuing);
    let _keeping = JoinSet::from_iter([keep(certificates, Arc::clone(&clock))]);
    let again = source.clone();
    let server = server.reloading(Reloading { config, read: Box::new(move || read(&again, clock.as_ref())), level });
    let doors = Doors { first: quic, second: tcp };
    let ended = server.serve(&doors, http, orders).await;
    let told = async {
        if let Some(tcp) = &doors.second {
            tcp.shutdown(STOPPING).await;
        }
    };
    tokio::join!(doors.first.shutdown(STOPPING), told);
    if let Some(place) = status {
        place.close();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ours(&error),
    }
}

/// Looks after the certificates: once a minute, and when told to (SIGHUP).
async fn keep(mut certificates: Certificates, clock: Arc<dyn Clock>) {
    let Ok(mut told) = signal(SignalKind::hangup()) else { return };
    loop {
        certificates.look(clock.as_ref());
        tokio::select! {
            _ = told.recv() => {}
            () = tokio::time::sleep(GLANCE) => {}
        }
    }
}

fn ours(error: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!(%error, "the coordinator failed");
    ExitCode::from(OURS)
}

fn warn_about(config: &Config) {
    if config.sites.len() < config.min_sites as usize {
        let (sites, min_sites) = (config.sites.len(), config.min_sites);
        tracing::warn!(
            sites,
            min_sites,
            "the roster has fewer sites than a published cell needs: nothing can be published"
        );
    }
    if config.issuing.is_none() {
        tracing::warn!("there is no [issuing]: no site enrols here, and no certificate is renewed");
    }
    if config.researchers.is_empty() && config.access_bodies.is_empty() {
        tracing::warn!("there is neither an [[access_body]] nor a [[researcher]]: every study is refused");
    }
}

/// The signals, as orders to the server.
fn orders() -> std::io::Result<mpsc::Receiver<Order>> {
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (terminal, (sender, orders)) = (Terminal::now(), mpsc::channel(4));
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = hangup.recv() => if terminal.is_gone() { Order::Stop } else { Order::Reload },
                _ = terminate.recv() => Order::Drain,
                _ = interrupt.recv() => Order::Stop,
            };
            if sender.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["x", "serve", "--set", "log.level=a=b", "--config", "c.toml"]).unwrap();
        let Action::Serve(source) = cli.command else { panic!() };
        assert_eq!(source.set, [("log.level".to_owned(), "a=b".to_owned())]);
        assert!(Cli::try_parse_from(["x", "check", "--set", "log.level"]).is_err());
    }

    #[test]
    fn the_users_problem_exits_with_1_and_help_with_0() {
        let exit = |args: &[&str]| format!("{:?}", main(args, Switches::default()));
        assert_eq!(exit(&["x", "--help"]), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(exit(&["x", "frobnicate"]), format!("{:?}", ExitCode::from(USER)));
        assert_eq!(exit(&["x", "check", "--config", "/nonexistent/c.toml"]), format!("{:?}", ExitCode::from(USER)));
    }
}
