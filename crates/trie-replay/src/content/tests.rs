use std::io::Cursor;

use trie_core::plan::{self, CacheScope, Order, Plan, PlanOptions, Scale};
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
    source_of(ROWS, concurrency, history)
}

fn source_of(rows: &'static str, concurrency: u32, history: History) -> Source {
    let file = File::Seekable(Box::new(Cursor::new(rows)));
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
        order: Order::File,
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

#[test]
fn model_sampling_and_headers_of_a_step_stand_before_those_of_its_row_and_of_the_run() {
    const ROW: &str = concat!(
        r#"{"model":"row","sampling":{"temperature":0.5,"top_p":0.9},"headers":{"X-Team":"a","X-Tier":"b"},"#,
        r#""steps":[{"id":"a","lane":"m","new":[{"role":"user","tokens":180}],"output":{"tokens":6}},"#,
        r#"{"id":"b","lane":"m","new":[{"role":"user","tokens":90}],"output":{"tokens":4},"#,
        r#""model":"step","sampling":{"temperature":1},"headers":{"x-team":"c"}}]}"#
    );
    let check = |history: History| {
        let mut source = source_of(ROW, 1, history);
        let bodies: Vec<Value> = bodies(&mut source, 0..1)
            .values()
            .map(|body| serde_json::from_slice(body).unwrap())
            .collect();
        let said = |body: &Value| {
            (body["model"].clone(), body["temperature"].clone(), body["top_p"].clone())
        };
        assert_eq!(said(&bodies[0]), (json!("row"), json!(0.5), json!(0.9)), "{history:?}");
        assert_eq!(said(&bodies[1]), (json!("step"), json!(1), json!(0.9)), "{history:?}");
        assert_eq!((&bodies[1]["max_tokens"], &bodies[1]["stream"]), (&json!(4), &json!(true)));
    };
    check(History::Ids(IdsBack::ReturnTokenIds));
    check(History::Text);
    check(History::Chat);

    let mut source = source_of(ROW, 1, History::Text);
    let trace = source.plan.trace(0, &mut source.workload).unwrap();
    let sent = |step| {
        // Later ones of a name replace earlier ones, as when a request is made.
        let headers: BTreeMap<_, _> = headers(&trace, step)
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(sent(0), ["x-team=a", "x-tier=b"]);
    assert_eq!(sent(1), ["x-team=c", "x-tier=b"]);
}
