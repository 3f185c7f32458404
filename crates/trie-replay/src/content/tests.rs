use std::io::Cursor;

use trie_core::plan::{self, CacheScope, Plan, PlanOptions, Scale};
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source as File, Workload};
use trie_tokens::ChatOptions;

use super::*;
use crate::maker::{Source, start};

/// A conversation, a shared prefix, shared blocks, and a graph that forks, cuts and joins.
const ROWS: &str = concat!(
    r#"{"num_turns":2,"input_prompt_length":300,"assistant_response_length":[9,1],"#,
    r#""tool_call_output_length":[70,5],"tool_call_latency":[0,0],"#,
    r#""final_assistant_response_length":3,"prefix":[{"id":"tools","tokens":150}]}"#,
    "\n",
    r#"{"num_turns":0,"input_prompt_length":200,"assistant_response_length":[],"#,
    r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3,"#,
    r#""blocks":{"size":16,"scope":"office","steps":[{"new":[[1,12]]}]}}"#,
    "\n",
    r#"{"steps":[{"id":"a","lane":"main","new":[{"role":"user","tokens":180}],"output":{"tokens":6}},"#,
    r#"{"id":"b","lane":"side","after":[{"id":"a"}],"context":{"from":"a","keep":150},"#,
    r#""new":[{"role":"user","tokens":90}],"output":{"tokens":4}},"#,
    r#"{"id":"c","lane":"main","after":[{"id":"b"}],"#,
    r#""new":[{"role":"user","tokens":95}],"output":{"tokens":2}}]}"#
);

/// As much as three times through all rows.
const INSTANCES: u64 = 9;

type Bodies = BTreeMap<(u64, StepId), Bytes>;

fn source(concurrency: u32, history: History) -> Source {
    let file = File::Seekable(Box::new(Cursor::new(ROWS)));
    let read = ReadOptions::default();
    let mut workload = Workload::open(file, "rows.jsonl", Encoding::Plain, &read).unwrap();
    let options = PlanOptions {
        concurrency,
        duration: Nanos::from_secs(1),
        seed: 1,
        stream: true,
        history: plan::History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        scale: Scale::default(),
    };
    let plan = Arc::new(Plan::new(options, 7, &mut workload).unwrap());
    Source { plan, workload, content: Arc::new(content(history)), next: 0 }
}

fn content(history: History) -> Content {
    let fields = BodyFields {
        model: "m".into(),
        stream: true,
        special_tokens: false,
        stream_usage: StreamUsage::Final,
        length: LengthFields::default(),
        sampling: Map::new(),
    };
    let vocabulary = Vocabulary::builtin();
    if history == History::Chat {
        let template = vocabulary.chat_template().unwrap().unwrap();
        let chat = Chat::new(vocabulary.clone(), template, ChatOptions::default()).unwrap();
        return Content::of_chats(vocabulary, chat, fields);
    }
    Content::new(vocabulary, history, fields)
}

/// The bodies of all steps of some instances, made in the order given; every server answers alike.
fn bodies(source: &mut Source, instances: impl Iterator<Item = u64>) -> Bodies {
    let mut bodies = Bodies::new();
    for instance in instances {
        let trace = source.plan.trace(instance, &mut source.workload).unwrap();
        let mut answers = Answers::new();
        for (step, of) in (0..).zip(&trace.trace.steps) {
            bodies.insert((instance, step), source.content.body(&trace, step, &answers));
            let ids = vec![300 + step; usize::try_from(of.output.tokens).unwrap()];
            answers.insert(step, Answer::new(" river stone".repeat(ids.len() / 2), ids));
        }
    }
    bodies
}

#[tokio::test]
async fn content_is_the_same_bytes_at_any_concurrency_and_in_any_order_of_making() {
    let ways =
        [History::Ids(IdsBack::ReturnTokenIds), History::Text, History::Recorded, History::Chat];
    for history in ways {
        let expected = bodies(&mut source(1, history), 0..INSTANCES);
        // Three traces of one pass have 3, 1 and 3 steps.
        assert_eq!(expected.len(), 21);
        let distinct: std::collections::BTreeSet<_> = expected.values().collect();
        assert_eq!(distinct.len(), expected.len(), "{history:?}");
        let backwards = bodies(&mut source(64, history), (0..INSTANCES).rev());
        assert!(backwards == expected, "{history:?}");

        let (maker, mut feed, threads) = start(source(64, history), 64).unwrap();
        for number in 0..INSTANCES {
            let prepared = feed.next().await.unwrap().unwrap();
            assert!(!prepared.first.is_empty(), "{number}");
            for (step, body) in prepared.first {
                assert!(expected[&(number, step)] == body, "{history:?} {number}.{step}");
            }
        }
        drop((maker, feed));
        assert!(!threads.join());
    }
}
