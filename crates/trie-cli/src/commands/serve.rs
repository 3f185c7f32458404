//! `trie serve`: the simulated engine on loopback, until Ctrl-C.

use trie_sim::config::{Config, OPTIONS};
use trie_sim::server::{Ended, bind, serve};
use trie_tokens::Vocabulary;

use crate::args::{Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::setup;
use crate::signals::Interrupts;

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
    setup::raise_descriptor_limit(printer);
    let mut asked = Interrupts::listen(printer).map_err(Fault::failed)?.asked();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Fault::failed)?;
    runtime.block_on(async {
        let listener = bind(&config).await.map_err(Fault::failed)?;
        let address = listener.local_addr().map_err(Fault::failed)?;
        printer.line(&format!(
            "simulated engine at http://{address}/v1 (tokenizer_model=builtin); Ctrl-C ends it"
        ));
        let interrupted = async {
            drop(asked.wait_for(|asked| *asked).await);
            printer.line("interrupted: the simulated engine stops");
        };
        match serve(listener, config, Vocabulary::builtin(), interrupted).await {
            Ok(Ended::ShutDown) => Ok(Code::Ok),
            Ok(Ended::Crashed) => {
                Err(Fault::failed("the simulated engine crashed, as it was told to"))
            }
            Err(error) => Err(Fault::failed(error)),
        }
    })
}
