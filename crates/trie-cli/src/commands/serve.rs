//! `trie serve`: the simulated engine on loopback, until Ctrl-C.

use trie_sim::config::{Config, OPTIONS};
use trie_sim::server::{Ended, bind, serve};
use trie_tokens::Vocabulary;

use crate::args::{Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    super::run::no_positional(words)?;
    let mut config = Config::default();
    for option in OPTIONS {
        let variable = format!("TRIE_{}", option.name.to_uppercase());
        if let Some(value) = environment.get(&variable) {
            config.set(option.name, value).map_err(Fault::usage)?;
        }
    }
    for typed in &words.options {
        config.set(&typed.name, &typed.value).map_err(Fault::usage)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Fault::failed)?;
    runtime.block_on(async {
        let listener = bind(&config).await.map_err(Fault::failed)?;
        let address = listener.local_addr().map_err(Fault::failed)?;
        printer.line(&format!(
            "simulated engine at http://{address}/v1 (tokenizer_model=builtin); Ctrl-C ends it"
        ));
        match serve(listener, config, Vocabulary::builtin(), interrupted()).await {
            Ok(Ended::ShutDown) => Ok(Code::Ok),
            Ok(Ended::Crashed) => {
                Err(Fault::failed("the simulated engine crashed, as it was told to"))
            }
            Err(error) => Err(Fault::failed(error)),
        }
    })
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let listen =
        |kind| signal(kind).expect("signals can be listened to on every platform we build for");
    let (mut ctrl_c, mut term) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = term.recv() => {}
    }
}
