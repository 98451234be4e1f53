//! How a plugin itself can fail, apart from what it says of a network.

/// Why a plugin's process is of no use any more. The process is ended; the next
/// network starts a new one.
#[derive(Debug, thiserror::Error)]
pub enum PluginFailure {
    #[error("`{program}` cannot be started: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    /// `stderr` is the end of what it wrote there, or empty.
    #[error("it ended early ({status}){}", quoted(stderr))]
    Exited { status: String, stderr: String },
    #[error("it did not answer within {seconds} s and was ended{}", quoted(stderr))]
    TimedOut { seconds: f64, stderr: String },
    #[error(
        "it printed `{line}`, which is not a JSON object of the protocol ({reason}); \
         anything else belongs on standard error"
    )]
    NotJson { line: String, reason: String },
    #[error("it printed a line of more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("it answered request {theirs} when request {ours} was asked")]
    OutOfStep { ours: u64, theirs: u64 },
    #[error("it speaks version {theirs} of the protocol, and this program version {ours}")]
    Version { ours: u32, theirs: u32 },
    #[error("its answer is not what was asked for: {problem}")]
    Answer { problem: String },
    #[error("a file for it cannot be written: {0}")]
    Scratch(#[from] std::io::Error),
}

fn quoted(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!("; its standard error ends with:\n{text}"),
    }
}
