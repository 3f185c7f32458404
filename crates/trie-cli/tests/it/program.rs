//! Starting `trie` and reading what it says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No test waits longer for a `trie`: far above what any takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A row whose trace takes about 0.1 s on the tests' engine.
pub(crate) const ROW: &str = concat!(
    r#"{"num_turns":1,"input_prompt_length":64,"assistant_response_length":[4],"#,
    r#""tool_call_output_length":[16],"tool_call_latency":[0.01],"final_assistant_response_length":3}"#
);

/// What a finished `trie` said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `trie` with these words, in a folder, without this machine's own settings.
pub(crate) fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trie"));
    command.args(line.split_whitespace()).current_dir(folder);
    // What the client can take is tried where a test asks for it.
    command.env_clear().env("HOME", folder).env("TRIE_SELFCHECK", "False").stdin(Stdio::null());
    command
}

/// Runs `trie` to its end; one that hangs is killed, and has no exit code then.
pub(crate) fn trie(folder: &Path, line: &str) -> Said {
    let mut command = command(folder, line);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_raw(child.id().try_into().unwrap());
    let (ended, waited) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if waited.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill(id, Signal::SIGKILL).unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watchdog.join().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `trie serve` of its own; dropping it ends it.
pub(crate) struct Engine {
    child: Child,
    pub(crate) port: String,
}

impl Engine {
    pub(crate) fn start(options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let line = format!("serve port=0 ttft_ms=10 itl_ms=2 {options}");
        let mut child = command(folder.path(), &line).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
        let port = first.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, port }
    }

    /// The words of a short run against this engine.
    pub(crate) fn run(&self) -> String {
        format!(
            "workload_path=rows.jsonl endpoint=http://127.0.0.1:{}/v1 model=m \
             tokenizer_model=builtin concurrency=2 duration=1",
            self.port
        )
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A folder with a workload of one row.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("rows.jsonl"), ROW).unwrap();
    folder
}

/// The rows of a record file.
pub(crate) fn rows(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
