//! Serves the simulated engine: `cargo run -p trie-sim --example serve -- port=8000 ttft_ms=100`.
#![expect(clippy::print_stderr, reason = "an example says where it listens")]

use trie_sim::{
    config::Config,
    server::{bind, serve},
};
use trie_tokens::Vocabulary;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').ok_or("options are written key=value")?;
        config.set(key, value)?;
    }
    let listener = bind(&config).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    serve(listener, config, Vocabulary::builtin(), std::future::pending()).await?;
    Ok(())
}
