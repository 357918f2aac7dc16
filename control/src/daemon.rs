//! The daemon: everything is started in order, and stopped in the opposite one.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use secuxflow::{plane::PlaneConfig, rules::Ruleset, service::Service};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tracing_subscriber::EnvFilter;

use crate::{
    admin::{self, Admin},
    alerts::{self, AlertStore, EveFile},
    backend::{Backend, start_backend},
    capability,
    config::{self, Config, ConfigError, Overrides},
    metrics,
    modules::{Inspection, LoadError},
    server::{self, ControlSocket, Lock, SocketError},
    sets,
    state::{self, State, StateError},
};

/// How often the dataplane looks for changed links and neighbours.
const TICK: Duration = Duration::from_millis(500);
/// How long open requests may take once the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// Why the daemon could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A capability is missing.
    #[error("{0}")]
    Capability(String),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The control socket or the state file's lock cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A module of the configuration cannot be used.
    #[error(transparent)]
    Module(#[from] LoadError),
    /// The alert file cannot be opened.
    #[error("alerts.file {}: {source}", path.display())]
    AlertFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The metrics endpoint cannot be opened.
    #[error("metrics.listen {address}: {source}; give another address with --metrics, or \"off\"")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The dataplane cannot start.
    #[error("{0}")]
    Backend(String),
    /// Threads or signal handlers cannot be had.
    #[error("{0}")]
    System(io::Error),
    /// A server ended while it should not.
    #[error("{0}; the daemon stops")]
    Serve(String),
}

/// Run the daemon until it is told to stop.
///
/// # Errors
/// [`StartError`]; whatever was started is stopped again.
pub(crate) fn main(file: Option<&Path>, overrides: &Overrides) -> Result<(), StartError> {
    capability::check().map_err(StartError::Capability)?;
    let default = Path::new(config::DEFAULT_PATH);
    let file = file.or_else(|| default.exists().then_some(default));
    let config = config::load(file, overrides)?;
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_env_filter(EnvFilter::new(&config.log))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(StartError::System)?.block_on(run(&config, start_backend))
}

/// Everything that can fail cheaply comes before the dataplane touches an interface.
async fn run(
    config: &Config,
    start: impl FnOnce(&PlaneConfig, &Ruleset, &[Service]) -> anyhow::Result<Box<dyn Backend>>,
) -> Result<(), StartError> {
    let signals = Signals::new().map_err(StartError::System)?;
    let _socket_lock = Lock::take(&config.socket.path, "socket")?;
    state::prepare(&config.state)?;
    let _state_lock = Lock::take(&config.state, "state")?;
    // Two state files in one directory would share their sets.
    let _sets_lock = Lock::take(&sets::directory(&config.state), "state")?;
    let base = Inspection::configured(&config.plane, &config.trust)?;
    let state = state::load(&config.state, &base, &config.trust, Timestamp::now())?;
    let endpoints = Endpoints::open(config).await?;
    let rules = admin::ruleset(&state, &config.plane.default_action, config.enforcement);
    if let Some(warning) = crate::mount_namespace::warning(&config.plane.bpffs) {
        tracing::warn!("{warning}");
    }
    let (modules, chains) = state.inspection.configs();
    let plane = PlaneConfig { modules, chains, ..config.plane.clone() };
    let backend = start(&plane, &rules, &state.services);
    let backend = backend.map_err(|e| StartError::Backend(crate::backend::words(e)))?;
    serve(config, backend, state, endpoints, signals).await
}

/// Files and sockets toward the outside, open.
struct Endpoints {
    socket: ControlSocket,
    api: UnixListener,
    metrics: Option<TcpListener>,
    alerts: Option<EveFile>,
}

impl Endpoints {
    async fn open(config: &Config) -> Result<Self, StartError> {
        let alerts = match &config.alerts.file {
            None => None,
            Some(path) => {
                let fail = |source| StartError::AlertFile { path: path.clone(), source };
                Some(EveFile::open(path).map_err(fail)?)
            }
        };
        let metrics = match config.metrics {
            None => None,
            Some(address) => {
                let fail = |source| StartError::Metrics { address, source };
                Some(TcpListener::bind(address).await.map_err(fail)?)
            }
        };
        let (socket, api) = ControlSocket::bind(&config.socket.path, config.socket.group.as_deref())?;
        Ok(Self { socket, api, metrics, alerts })
    }
}

/// The signals that the daemon answers to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn serve(
    config: &Config,
    backend: Box<dyn Backend>,
    state: State,
    endpoints: Endpoints,
    mut signals: Signals,
) -> Result<(), StartError> {
    let queue = backend.alerts();
    let Endpoints { socket, api, metrics: metrics_listener, alerts: file } = endpoints;
    let file = Arc::new(Mutex::new(file));
    let store = Arc::new(AlertStore::new(config.alerts.ring));
    let admin = Arc::new(Admin::new(config, backend, state, Arc::clone(&store)));
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    servers.spawn(server::serve(api, Arc::clone(&admin), until(stopped.clone())));
    if let Some(listener) = metrics_listener {
        servers.spawn(metrics::serve(listener, Arc::clone(&admin), until(stopped)));
    }
    let pump = tokio::spawn(alerts::run(Arc::clone(&queue), Arc::clone(&admin), Arc::clone(&store), Arc::clone(&file)));
    let ticker = tokio::spawn(tick(Arc::clone(&admin)));
    tracing::info!(socket = %config.socket.path.display(), interfaces = ?config.plane.interfaces, "ready");

    let outcome = wait(&mut signals, &mut servers, &file).await;

    store.close();
    // An error says that every server ended already.
    let _ended = stop.send(true);
    if tokio::time::timeout(GRACE, async { while servers.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("requests were still open after {} s and are cut off", GRACE.as_secs());
        servers.shutdown().await;
    }
    drop(socket);
    ticker.abort();
    pump.abort();
    let last = tokio::task::spawn_blocking(move || {
        let names = admin.names().unwrap_or_default();
        admin.shutdown();
        // What the workers said last is told too.
        alerts::drain(None, &queue, &names, &store, &file);
    });
    if let Err(e) = last.await {
        return Err(StartError::Serve(format!("the dataplane did not shut down cleanly: {e}")));
    }
    tracing::info!("stopped");
    outcome
}

/// Until a signal says to stop, or a server ends by itself.
async fn wait(
    signals: &mut Signals,
    servers: &mut JoinSet<io::Result<()>>,
    file: &Arc<Mutex<Option<EveFile>>>,
) -> Result<(), StartError> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => { tracing::info!("SIGTERM: stopping"); return Ok(()) }
            _ = signals.interrupt.recv() => { tracing::info!("SIGINT: stopping"); return Ok(()) }
            _ = signals.hangup.recv() => reopen(Arc::clone(file)).await,
            Some(ended) = servers.join_next() => {
                let told = match ended {
                    Ok(Ok(())) => "a server ended".to_owned(),
                    Ok(Err(e)) => format!("a server failed: {e}"),
                    Err(e) => format!("a server failed: {e}"),
                };
                return Err(StartError::Serve(told));
            }
        }
    }
}

async fn reopen(file: Arc<Mutex<Option<EveFile>>>) {
    let done = tokio::task::spawn_blocking(move || {
        if let Some(file) = &mut *file.lock().unwrap_or_else(PoisonError::into_inner) {
            file.reopen();
        }
    });
    if let Err(e) = done.await {
        tracing::error!("the alert file was not reopened: {e}");
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the end as well.
    let _gone = stopped.wait_for(|stopped| *stopped).await;
}

async fn tick(admin: Arc<Admin>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let admin = Arc::clone(&admin);
        match tokio::task::spawn_blocking(move || admin.tick()).await {
            Ok(Ok(())) => {}
            // The next look tries again; once the daemon stops, this task is ended from outside.
            Ok(Err(e)) => tracing::error!("links and neighbours: {}", e.message),
            Err(e) => tracing::error!("links and neighbours were not looked at: {e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::atomic::Ordering::SeqCst};

    use nix::sys::signal::{Signal, raise};
    use secuxflow::alert::AlertEvent;

    use super::*;
    use crate::{api::Status, client::Client, testing::Lab};

    fn config(dir: &Path) -> Config {
        let overrides = Overrides {
            interfaces: vec!["eth0".into()],
            socket: Some(dir.join("s.sock")),
            state: Some(dir.join("state.json")),
            alert_file: Some(dir.join("eve.json").to_string_lossy().into_owned()),
            metrics: Some("127.0.0.1:0".into()),
            ..Overrides::default()
        };
        config::load(None, &overrides).unwrap()
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what}: not within 5 s");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn signals_reopen_the_alert_file_and_stop_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (config, lab) = (config(dir.path()), Lab::new());
        let backend = lab.backend();
        let daemon = tokio::spawn({
            let config = config.clone();
            async move { run(&config, |_, _, _| Ok(backend)).await }
        });
        let client = Client::new(config.socket.path.clone());
        while client.get::<Status>("/v1/status").await.is_err() {
            assert!(!daemon.is_finished());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        let (eve, moved) = (dir.path().join("eve.json"), dir.path().join("eve.json.1"));
        lab.queue.push(AlertEvent::dataplane(3, "one"));
        until("the alert is written", || fs::read_to_string(&eve).unwrap().contains("one"));
        fs::rename(&eve, &moved).unwrap();
        raise(Signal::SIGHUP).unwrap();
        until("the file is made anew", || eve.exists());

        let mut follower = client.stream("/v1/alerts/stream").await.unwrap();
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(follower.next().await.unwrap(), None, "the stop ends the stream");
        let ended = tokio::time::timeout(Duration::from_secs(10), daemon).await.unwrap().unwrap();
        assert!(ended.is_ok(), "{ended:?}");
        assert!(lab.stopped.load(SeqCst), "the dataplane was shut down");
        let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["eve.json", "eve.json.1"], "socket and locks are gone");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dataplane_that_does_not_start_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let error = run(&config, |_, _, _| anyhow::bail!("no interface 'eth0'")).await.unwrap_err();
        assert_eq!(error.to_string(), "no interface 'eth0'");
        assert!(!config.socket.path.exists() && !config.state.exists());
        assert!(!dir.path().join("s.sock.lock").exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_dataplane_is_started_with_what_is_stored_and_configured() {
        let dir = tempfile::tempdir().unwrap();
        for enforcement in [config::Enforcement::Enforce, config::Enforcement::Monitor] {
            let config = Config { enforcement, ..config(dir.path()) };
            let rule = |id: u32, end: &str| format!(r#"{{"id":"rule-{id}","action":"drop","expires":"{end}"}}"#);
            let rules = [rule(1, "2020-01-01T00:00:00Z"), rule(2, "2999-01-01T00:00:00Z")].join(",");
            let text = format!(r#"{{"version":1,"next_rule":3,"revision":4,"rules":[{rules}],"services":[]}}"#);
            fs::write(&config.state, text).unwrap();
            let started = run(&config, |_, rules, _| {
                assert_eq!(rules.monitor, enforcement == config::Enforcement::Monitor);
                assert_eq!(rules.rules.iter().map(|rule| rule.id.0).collect::<Vec<_>>(), [2], "the other one is over");
                anyhow::bail!("looked at")
            });
            assert_eq!(started.await.unwrap_err().to_string(), "looked at");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_state_files_in_one_directory_do_not_share_their_sets() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let _other = Lock::take(&dir.path().join("sets"), "state").unwrap();
        let error = run(&config, |_, _, _| panic!("the dataplane was started")).await.unwrap_err().to_string();
        assert!(error.contains("sets is in use by a running daemon") && error.contains("--state"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_damaged_state_file_keeps_the_dataplane_from_being_touched() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        fs::write(&config.state, "{").unwrap();
        let error = run(&config, |_, _, _| panic!("the dataplane was started")).await.unwrap_err();
        assert!(matches!(error, StartError::State(_)), "{error}");
        assert_eq!(fs::read_to_string(&config.state).unwrap(), "{");
    }
}
