//! Starting `trie` and reading what it says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

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
    command.env_clear().env("HOME", folder).stdin(Stdio::null());
    command
}

pub(crate) fn trie(folder: &Path, line: &str) -> Said {
    let output = command(folder, line).output().unwrap();
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
