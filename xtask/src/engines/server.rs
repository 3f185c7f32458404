//! A server process on loopback: started, waited for, and stopped whatever happens.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::repo::shown;
use crate::talk::say;

/// Between two looks at a process that starts or ends.
const LOOK: Duration = Duration::from_millis(250);
/// One request for the server's health.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// What a server may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Of its log, when it does not come up.
const LOG_TAIL_LINES: usize = 30;

/// A server that is healthy. Dropping it stops it.
pub(super) struct Server {
    process: Child,
    port: u16,
    log: PathBuf,
}

/// A port of loopback that nothing listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr().context("a listener has an address")?.port())
}

impl Server {
    /// Starts `serve`, its output in the file `log`, and waits until it is healthy, at most
    /// `limit`.
    pub(super) fn start(
        mut serve: Command,
        port: u16,
        log: &Path,
        limit: Duration,
    ) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let err = out.try_clone().context("cannot share the log between two outputs")?;
        let process = serve.stdout(out).stderr(err).spawn();
        let process = process.with_context(|| format!("cannot start {}", shown(&serve)))?;
        let mut server = Self { process, port, log: log.to_path_buf() };
        say(format_args!("waiting for {} (log: {})", shown(&serve), log.display()));
        server.wait_until_healthy(limit).with_context(|| server.tail())?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_healthy(&mut self, limit: Duration) -> Result<()> {
        let mut waited = Duration::ZERO;
        while waited < limit {
            if let Some(status) = self.process.try_wait().context("cannot look at the server")? {
                bail!("the server ended with {status} before it was healthy");
            }
            if is_healthy(self.port) {
                return Ok(());
            }
            sleep(LOOK);
            waited += LOOK;
        }
        bail!("the server was not healthy after {} s", limit.as_secs())
    }

    fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_TAIL_LINES);
        format!("end of {}:\n{}", self.log.display(), lines[from..].join("\n"))
    }

    /// Asks the process to end; true if it did in time.
    fn ends_when_asked(&mut self) -> bool {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return false;
        }
        let looks = STOP_LIMIT.as_millis() / LOOK.as_millis();
        (0..looks).any(|_| {
            sleep(LOOK);
            matches!(self.process.try_wait(), Ok(Some(_)))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ends_when_asked() {
            return;
        }
        let killed = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = killed {
            say(format_args!("process {} may still run: {error}", self.process.id()));
        }
    }
}

fn is_healthy(port: u16) -> bool {
    health(port).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

fn health(port: u16) -> std::io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut socket = TcpStream::connect_timeout(&address, HEALTH_LIMIT)?;
    socket.set_read_timeout(Some(HEALTH_LIMIT))?;
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(4096).read_to_end(&mut answer)?;
    Ok(answer)
}
