//! The daemon: everything is started in order, and stopped in the opposite one.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
    backend::{self, Backend},
    capability,
    config::{self, Config, ConfigError, Overrides},
    metrics,
    server::{self, ControlSocket, Lock, SocketError},
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
    runtime.map_err(StartError::System)?.block_on(run(&config))
}

/// Everything that can fail cheaply comes before the dataplane touches an interface.
async fn run(config: &Config) -> Result<(), StartError> {
    let signals = Signals::new().map_err(StartError::System)?;
    let _socket_lock = Lock::take(&config.socket.path, "socket")?;
    state::prepare(&config.state)?;
    let _state_lock = Lock::take(&config.state, "state")?;
    let state = state::load(&config.state, &config.chain_names())?;
    let endpoints = Endpoints::open(config).await?;
    let rules = admin::ruleset(&state, &config.plane.default_action);
    let backend = backend::start_backend(&config.plane, &rules, &state.services)
        .map_err(|e| StartError::Backend(format!("{e:#}")))?;
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
    let (queue, names) = (backend.alerts(), backend.names());
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
    let pump = tokio::spawn(alerts::run(Arc::clone(&queue), names.clone(), Arc::clone(&store), Arc::clone(&file)));
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
