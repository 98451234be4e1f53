//! Coordinators, agents, networks and a proxy with faults.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bespoke::coordinator::{Admin, Client, RemoteProbe, Server, ServerOptions, Settings};
use bespoke::device::{Deployable, Probe, Protocol, RunOptions};
use bespoke::network::{Conv, Network, NodeId, Op, Shape};
use bespoke::wire::{DeviceInfo, Digest, FromAgent, Greeting, Hello, Identity, Job, ToAgent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub const AGENT: &str = env!("CARGO_BIN_EXE_bespoke-probe");

/// Says that a test, or a part of it, was left out, past the test runner, which
/// keeps what a test that passes prints.
pub fn skipped(what: &str) {
    let loud = format!("\n*** SKIPPED: {what} ***\n");
    std::io::Write::write_all(&mut std::io::stderr(), loud.as_bytes()).unwrap();
}

/// Longest that anything here may take; machines that test are busy.
pub const LONG: Duration = Duration::from_secs(90);

/// As in life, but impatient.
pub fn settings() -> Settings {
    Settings {
        beat: Duration::from_millis(200),
        silence: Duration::from_secs(3),
        transfer: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A coordinator in this process.
pub struct Here {
    pub runtime: Runtime,
    server: Option<Server>,
    pub dir: tempfile::TempDir,
    pub address: String,
}

impl Here {
    pub fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub fn at(listen: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let mut options = ServerOptions::new(listen, dir.path().join("coordinator"));
        options.settings = settings();
        let server = runtime.block_on(Server::start(options)).unwrap();
        Here {
            address: server.address().to_string(),
            server: Some(server),
            runtime,
            dir,
        }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("coordinator")
    }

    pub fn admin(&self) -> Admin {
        Admin::read(&self.state().join("admin.json")).unwrap()
    }

    pub fn client(&self) -> Client {
        let admin = self.admin();
        self.runtime.block_on(Client::connect(&admin)).unwrap()
    }

    pub fn token(&self, device: &str) -> String {
        let mut client = self.client();
        let enrolled = client.enrol(device, Duration::from_secs(600));
        self.runtime.block_on(enrolled).unwrap().0
    }

    /// Enrols a device by hand, for tests that speak the protocol themselves.
    pub fn identity(&self, device: &str) -> Identity {
        let identity = Identity::generate();
        let token: bespoke::wire::EnrolToken = self.token(device).parse().unwrap();
        let greeting = Greeting::Enrol {
            version: bespoke::wire::VERSION,
            secret: bespoke::wire::hex_text(&token.secret),
        };
        let answer = self.say(&identity, &greeting);
        assert!(matches!(answer, Ok(ToAgent::Enrolled { .. })), "{answer:?}");
        identity
    }

    /// One greeting and its answer.
    pub fn say(&self, identity: &Identity, greeting: &Greeting) -> Result<ToAgent, String> {
        self.runtime.block_on(async {
            let mut channel = self.connect(identity).await;
            channel.send(greeting).await.map_err(|e| e.to_string())?;
            channel
                .receive_within(LONG)
                .await
                .map_err(|e| e.to_string())
        })
    }

    pub async fn connect(&self, identity: &Identity) -> Line {
        let server = self.admin().server;
        bespoke::wire::connect(&self.address, server, identity)
            .await
            .unwrap()
    }

    /// A connection of a device that has greeted.
    pub async fn hello(&self, identity: &Identity, holding: Option<Digest>) -> Line {
        let mut line = self.connect(identity).await;
        line.raise_limit(bespoke::wire::MAX_FRAME);
        let hello = Box::new(Hello {
            engines: vec!["tract".into()],
            holding,
            ..Hello::default()
        });
        let version = bespoke::wire::VERSION;
        line.send(&Greeting::Hello { version, hello })
            .await
            .unwrap();
        let welcome: ToAgent = line.receive_within(LONG).await.unwrap();
        assert!(matches!(welcome, ToAgent::Welcome { .. }), "{welcome:?}");
        line
    }

    pub fn probe(&self, name: &str) -> RemoteProbe {
        let admin = self.state().join("admin.json");
        RemoteProbe::open(name, Some(admin), RunOptions::default()).unwrap()
    }

    pub fn device(&self, name: &str) -> DeviceInfo {
        let mut client = self.client();
        let devices = self.runtime.block_on(client.devices()).unwrap();
        devices.into_iter().find(|d| d.name == name).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state().join("events.log")).unwrap_or_default()
    }

    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

pub type Line = bespoke::wire::Channel<tokio_rustls::client::TlsStream<TcpStream>>;

/// The job that the coordinator gives next.
pub async fn job(line: &mut Line) -> Job {
    loop {
        match line.receive_within(LONG).await.unwrap() {
            ToAgent::Job(job) => return *job,
            ToAgent::Beat => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for the coordinator's word on a job.
pub async fn recorded(line: &mut Line) {
    loop {
        match line.receive_within(LONG).await.unwrap() {
            ToAgent::Recorded { .. } => return,
            ToAgent::Beat => {}
            other => panic!("{other:?}"),
        }
    }
}

pub async fn started(line: &mut Line, job: &Job) {
    line.send(&FromAgent::Started { job: job.id })
        .await
        .unwrap();
}

/// Measures in a thread of its own.
pub fn measuring(
    mut probe: RemoteProbe,
    model: Deployable,
    protocol: Protocol,
) -> std::thread::JoinHandle<Result<bespoke::device::Measurement, bespoke::device::ProbeError>> {
    std::thread::spawn(move || probe.measure(&model, &protocol))
}

/// An enrolled agent's directory, and its process while it runs.
pub struct AgentProcess {
    pub dir: PathBuf,
    pub child: Option<Child>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
    pub arguments: Vec<String>,
    /// What runs it, such as another namespace.
    pub prefix: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl AgentProcess {
    /// Enrols `device` with the coordinator at `address`.
    pub fn enrol(dir: &Path, device: &str, address: &str, token: &str) -> Self {
        let agent = Self::new(dir.join(device));
        let output = agent.command(&["enrol", address, token]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(device), "{said}");
        agent
    }

    pub fn new(dir: PathBuf) -> Self {
        AgentProcess {
            dir,
            child: None,
            said: Arc::default(),
            listener: None,
            arguments: Vec::new(),
            prefix: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let words: Vec<&str> = self
            .prefix
            .iter()
            .map(String::as_str)
            .chain([AGENT])
            .collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .arg("--state")
            .arg(&self.dir);
        command.envs(self.environment.iter().cloned());
        command
    }

    pub fn run(&mut self) {
        let mut child = self
            .command(&["run"])
            .args(&self.arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = self.said.clone();
        self.listener = Some(std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                said.lock().unwrap().push_str(&format!("{line}\n"));
            }
        }));
        self.child = Some(child);
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// How often it began to measure.
    pub fn measured(&self) -> usize {
        self.said().matches("measuring ").count()
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until it ends by itself and all that it said is heard.
    pub fn ended(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                if let Some(listener) = self.listener.take() {
                    listener.join().unwrap();
                }
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < LONG, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that measure for this agent.
    pub fn workers(&self) -> Vec<u32> {
        let Some(child) = &self.child else {
            return Vec::new();
        };
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        children
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A square convolution on a map of 16x16 pixels.
pub fn network(channels: usize) -> Deployable {
    let mut net = Network::new(Shape::image(channels, 16, 16));
    net.push(Op::Conv(Conv::same(channels, 3, 1)), &[NodeId(0)])
        .unwrap();
    Deployable::untrained(format!("conv{channels}"), net, 0).unwrap()
}

/// A measurement of about this many milliseconds.
pub fn protocol(ms: f64) -> Protocol {
    Protocol {
        min_warmup_ms: 0.0,
        max_warmup_ms: 10.0,
        min_sampling_ms: ms,
        budget_ms: ms.max(50.0),
        min_samples: 6,
        passes: 1,
        max_passes: 1,
        ..Protocol::quick()
    }
}

/// A coordinator in a process of its own.
pub struct Elsewhere {
    pub dir: PathBuf,
    child: Option<Child>,
    pub address: String,
}

impl Elsewhere {
    pub fn start(dir: &Path) -> Self {
        let mut elsewhere = Elsewhere {
            dir: dir.into(),
            child: None,
            address: "127.0.0.1:0".into(),
        };
        elsewhere.again();
        elsewhere
    }

    /// Starts it again at the same address.
    pub fn again(&mut self) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["coordinator_process", "--exact", "--nocapture"])
            .env("BESPOKE_TEST_COORDINATOR", &self.dir)
            .env("BESPOKE_TEST_LISTEN", &self.address)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ready = self.dir.join("ready");
        until("the coordinator is ready", || ready.exists());
        self.address = std::fs::read_to_string(&ready).unwrap();
        std::fs::remove_file(ready).unwrap();
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn admin(&self) -> PathBuf {
        self.dir.join("coordinator/admin.json")
    }

    pub fn token(&self, device: &str) -> String {
        let admin = Admin::read(&self.admin()).unwrap();
        runtime().block_on(async {
            let mut client = Client::connect(&admin).await.unwrap();
            let valid = Duration::from_secs(600);
            client.enrol(device, valid).await.unwrap().0
        })
    }

    /// Lines of the journal that record a finished measurement.
    pub fn done(&self) -> usize {
        let journal = self.dir.join("coordinator/journal.jsonl");
        let text = std::fs::read_to_string(journal).unwrap_or_default();
        text.matches("{\"done\":").count()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn coordinator_process() {
    let Some(dir) = std::env::var_os("BESPOKE_TEST_COORDINATOR") else {
        return;
    };
    let dir = PathBuf::from(dir);
    let listen = std::env::var("BESPOKE_TEST_LISTEN").unwrap();
    let mut options = ServerOptions::new(&listen, dir.join("coordinator"));
    options.settings = settings();
    runtime().block_on(async {
        let server = Server::start(options).await.unwrap();
        let address = server.address().to_string();
        std::fs::write(dir.join("ready.new"), address).unwrap();
        std::fs::rename(dir.join("ready.new"), dir.join("ready")).unwrap();
        server.run().await.unwrap();
    });
}

/// A proxy between an agent and its coordinator: it can be slow, cut all
/// connections, and refuse new ones.
pub struct Proxy {
    pub address: String,
    pub control: Arc<Control>,
}

#[derive(Default)]
pub struct Control {
    /// Bytes a second to the agent; 0 for no limit.
    pub rate: AtomicU64,
    /// Cut every connection after so many bytes to the agent; 0 for never.
    pub cut_after: AtomicU64,
    /// Cut what is connected and refuse what comes.
    pub down: AtomicBool,
    /// Connections so far.
    pub connections: AtomicU64,
    /// Bytes carried to the agent so far.
    pub carried: AtomicU64,
}

impl Proxy {
    pub fn start(here: &Here) -> Self {
        let to = here.address.clone();
        let control = Arc::new(Control::default());
        let shared = control.clone();
        let listener = here
            .runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        here.runtime.spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                if shared.down.load(Ordering::Relaxed) {
                    continue;
                }
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let to = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(carry(from, to, shared.clone()));
            }
        });
        Proxy { address, control }
    }
}

async fn carry(agent: TcpStream, server: TcpStream, control: Arc<Control>) {
    let (mut from_agent, mut to_agent) = agent.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut from_agent, &mut to_server).await;
    };
    let down = async {
        let mut buffer = vec![0; 4096];
        let mut carried = 0;
        loop {
            let n = match from_server.read(&mut buffer).await {
                Ok(n) if n > 0 => n,
                _ => return,
            };
            let rate = control.rate.load(Ordering::Relaxed);
            if rate > 0 {
                let pause = Duration::from_secs_f64(n as f64 / rate as f64);
                tokio::time::sleep(pause).await;
            }
            if to_agent.write_all(&buffer[..n]).await.is_err() {
                return;
            }
            carried += n as u64;
            control.carried.fetch_add(n as u64, Ordering::Relaxed);
            let most = control.cut_after.load(Ordering::Relaxed);
            if most > 0 && carried >= most {
                return;
            }
        }
    };
    let cut = async {
        while !control.down.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { () = up => {}, () = down => {}, () = cut => {} }
}
