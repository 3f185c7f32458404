//! The engine that works in steps, on cases worked by hand. A step of n tokens takes n milliseconds
//! (and `p0` more), a block holds 4 tokens.

use std::num::NonZeroUsize;

use trie_core::units::Nanos;
use trie_sim::engine::{
    Engine, EngineConfig, Event, FinishReason, HostTier, Policy, Preset, Request, RequestId,
    Scheduler, Sequence, Span, Speculation, StepTime, Steps,
};

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// A millisecond a token.
fn steps(scheduler: Scheduler, p0: f64) -> Steps {
    let time = StepTime { p0, p: 1.0, ..StepTime::default() };
    Steps { scheduler, time, ..Steps::default() }
}

fn engine(blocks: usize, max_num_seqs: usize, steps: Steps) -> Engine {
    Engine::new(EngineConfig {
        policy: Policy::Steps(steps),
        block: some(4),
        cache_tokens: 4 * blocks,
        max_num_seqs: Some(some(max_num_seqs)),
    })
}

/// `prompt` tokens of the text that `text` names, and an answer of its own.
fn request(id: u64, text: u128, prompt: usize, output: usize) -> Request {
    let own = 1_000 + u128::from(id);
    let spans = [(text, prompt), (own, output)];
    let content: Sequence =
        spans.into_iter().map(|(key, tokens)| Span { key, from: 0, tokens }).collect();
    let finish = FinishReason::Length;
    Request { id: RequestId(id), prompt_tokens: prompt, output_tokens: output, finish, content }
}

/// What became of one request.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    cached: Option<usize>,
    /// Of each token, in milliseconds.
    tokens: Vec<u64>,
    /// Each time that it lost its place, in milliseconds.
    preempted: Vec<u64>,
}

fn seen(tokens: &[u64], cached: usize) -> Seen {
    Seen { cached: Some(cached), tokens: tokens.to_vec(), preempted: vec![] }
}

/// Runs requests with their times of arrival in milliseconds to their end.
fn run(engine: &mut Engine, requests: Vec<(u64, Request)>) -> Vec<Seen> {
    let mut events = vec![];
    let ids: Vec<_> = requests.iter().map(|(_, request)| request.id).collect();
    for (at, request) in requests {
        let at = Nanos::from_millis(at);
        while engine.next_wake().is_some_and(|due| due < at) {
            engine.wake(engine.next_wake().unwrap(), &mut events);
        }
        engine.arrive(at, request, &mut events);
    }
    while let Some(due) = engine.next_wake() {
        engine.wake(due, &mut events);
    }
    ids.into_iter().map(|id| of(id, &events)).collect()
}

fn of(wanted: RequestId, events: &[Event]) -> Seen {
    let mut seen = Seen::default();
    for event in events.iter().filter(|event| event.id() == wanted) {
        match event {
            Event::Admitted { cached_tokens, .. } => seen.cached = Some(*cached_tokens),
            Event::Token { at, tokens, .. } => {
                seen.tokens.extend(std::iter::repeat_n(at.0 / 1_000_000, *tokens));
            }
            Event::Preempted { at, .. } => seen.preempted.push(at.0 / 1_000_000),
        }
    }
    seen
}

#[test]
fn a_long_prompt_is_computed_in_chunks() {
    let two = || vec![(0, request(1, 1, 20, 2)), (0, request(2, 2, 4, 1))];
    let check = |change: &dyn Fn(&mut Steps), expected: [&[u64]; 2]| {
        let mut steps = steps(Scheduler::Vllm, 10.0);
        steps.max_num_batched_tokens = some(8);
        change(&mut steps);
        let found = run(&mut engine(100, 8, steps), two());
        assert_eq!(found, expected.map(|tokens| seen(tokens, 0)));
    };
    // 8, 8, then 4 of the first and all of the second: 18 ms each; a token of the first: 11 ms.
    check(&|_| {}, [&[54, 65], &[54]]);
    // 5 of the first and 3 of the second, 5 and 1, 5, 5: 18 + 16 + 15 + 15, then 11.
    check(&|steps| steps.long_prefill_tokens = Some(some(5)), [&[64, 75], &[34]]);
    // The first is over the budget and has a step to itself: 30 ms; then 1 + 4 tokens: 15 ms.
    check(&|steps| steps.chunked_prefill = false, [&[30, 45], &[45]]);
}

#[test]
fn the_last_request_is_preempted_and_finds_its_prefix_again() {
    let mut engine = engine(4, 8, steps(Scheduler::Vllm, 0.0));
    let two = vec![(0, request(1, 1, 7, 6)), (0, request(2, 2, 7, 6))];
    // Two blocks each: 14 and 2 ms for two tokens. For its ninth token the first needs a block more: the
    // second is preempted and its last block evicted. The first ends after four steps of 1 ms. The second
    // then has 9 tokens to compute, 4 of which are in the block it was left.
    let second = Seen { preempted: vec![16], ..seen(&[14, 16, 25, 26, 27, 28], 0) };
    let expected = [seen(&[14, 16, 17, 18, 19, 20], 0), second];
    assert_eq!(run(&mut engine, two), expected);
    assert_eq!(engine.counters().preemptions, 1);
    // The second has 3 blocks, so 1 is left of the first.
    let again = vec![(100, request(3, 1, 7, 1)), (200, request(4, 2, 7, 1))];
    assert_eq!(run(&mut engine, again), [seen(&[103], 4), seen(&[203], 4)]);
}

#[test]
fn cached_tokens_are_whole_blocks_and_never_the_last_prompt_token() {
    let check = |first: usize, then: usize, expected: usize| {
        let mut engine = engine(100, 8, steps(Scheduler::Vllm, 0.0));
        run(&mut engine, vec![(0, request(1, 1, first, 1))]);
        let found = run(&mut engine, vec![(1_000, request(2, 1, then, 1))]);
        let first_token = 1_000 + u64::try_from(then - expected).unwrap();
        assert_eq!(found, [seen(&[first_token], expected)], "{then} tokens after {first}");
    };
    check(3, 20, 0);
    check(4, 20, 4);
    check(11, 20, 8);
    check(12, 12, 8);
    check(12, 13, 12);
}

#[test]
fn at_most_so_many_requests_run() {
    let mut engine = engine(100, 1, steps(Scheduler::Vllm, 0.0));
    let three = (1..=3).map(|id| (0, request(id, u128::from(id), 5, 2))).collect();
    let expected = [seen(&[5, 6], 0), seen(&[11, 12], 0), seen(&[17, 18], 0)];
    assert_eq!(run(&mut engine, three), expected);
}

#[test]
fn an_arrival_waits_for_the_step_in_work() {
    let mut engine = engine(100, 8, steps(Scheduler::Vllm, 0.0));
    let two = vec![(0, request(1, 1, 10, 3)), (4, request(2, 2, 3, 1))];
    // The step of 10 ms, then 1 + 3 tokens, then 1.
    assert_eq!(run(&mut engine, two), [seen(&[10, 14, 15], 0), seen(&[14], 0)]);
}

#[test]
fn sglang_prefills_and_decodes_apart_and_the_longest_prefix_goes_first() {
    let prefix_first = Scheduler::Sglang { longest_prefix_first: true };
    let mut engine = Engine::new(EngineConfig {
        policy: Policy::Steps(steps(prefix_first, 10.0)),
        block: some(1),
        cache_tokens: 1_000,
        max_num_seqs: Some(some(2)),
    });
    // Prefill 14 ms, decode 11; the second arrives meanwhile: prefill 17 without the first, then both.
    let two = vec![(0, request(1, 1, 4, 3)), (20, request(2, 2, 7, 2))];
    assert_eq!(run(&mut engine, two), [seen(&[14, 25, 54], 0), seen(&[42, 54], 0)]);
    // Tokens are kept one by one. Of the two that wait the second is known best, and goes first.
    let waiting =
        vec![(100, request(3, 9, 40, 20)), (100, request(4, 8, 5, 1)), (100, request(5, 2, 6, 1))];
    assert_eq!(run(&mut engine, waiting)[1..], [seen(&[166], 0), seen(&[151], 5)]);
}

#[test]
fn trtllm_admits_only_what_has_room_to_its_end() {
    let mut engine = engine(4, 8, steps(Scheduler::Trtllm, 0.0));
    let two = vec![(0, request(1, 1, 7, 6)), (0, request(2, 2, 7, 6))];
    let expected = [seen(&[7, 8, 9, 10, 11, 12], 0), seen(&[19, 20, 21, 22, 23, 24], 0)];
    assert_eq!(run(&mut engine, two), expected);
    assert_eq!(engine.counters().preemptions, 0);
}

#[test]
fn llamacpp_keeps_one_conversation_a_slot() {
    let mut engine = engine(50, 2, steps(Scheduler::Llamacpp, 0.0));
    let found = run(&mut engine, vec![(0, request(1, 1, 10, 1)), (0, request(2, 2, 10, 1))]);
    assert_eq!(found, [seen(&[20], 0), seen(&[20], 0)]);
    // Token by token, and the last one anew.
    let found = run(&mut engine, vec![(100, request(3, 2, 10, 1))]);
    assert_eq!(found, [seen(&[101], 9)]);
    // A third text takes the place of the one that was not used for longest.
    let found = run(&mut engine, vec![(200, request(4, 3, 10, 1)), (300, request(5, 1, 10, 1))]);
    assert_eq!(found, [seen(&[210], 0), seen(&[310], 0)]);
    assert!(engine.fits(100) && !engine.fits(101));
}

#[test]
fn the_way_in_and_out_takes_time() {
    let way = |api_in, api_out| Steps { api_in, api_out, ..steps(Scheduler::Vllm, 0.0) };
    let mut engine = engine(100, 8, way(Nanos::from_millis(3), Nanos::from_millis(20)));
    let two = vec![(0, request(1, 1, 5, 2)), (1, request(2, 2, 5, 1))];
    // Seen at 3 and 4: steps 3..8, then 1 + 5 tokens 8..14; 20 ms more to get out.
    assert_eq!(run(&mut engine, two), [seen(&[28, 34], 0), seen(&[34], 0)]);
}

#[test]
fn what_is_evicted_comes_back_from_the_host() {
    let host =
        Some(HostTier { tokens: some(1_000), bytes_per_token: 1_000, gigabytes_per_s: 0.001 });
    let mut engine = engine(4, 8, Steps { host, ..steps(Scheduler::Vllm, 0.0) });
    run(&mut engine, vec![(0, request(1, 1, 9, 1)), (100, request(2, 2, 13, 1))]);
    // Of 8 kept tokens none is left but on the host: 8,000 bytes at 1 MB/s and one token.
    assert_eq!(run(&mut engine, vec![(200, request(3, 1, 9, 1))]), [seen(&[209], 8)]);
}

#[test]
fn a_cancelled_request_gives_its_room_to_others() {
    let mut engine = engine(4, 8, steps(Scheduler::Vllm, 0.0));
    let mut events = vec![];
    let ms = Nanos::from_millis;
    engine.arrive(ms(0), request(1, 1, 15, 1), &mut events);
    engine.arrive(ms(0), request(2, 2, 15, 1), &mut events);
    engine.wake(ms(1), &mut events);
    assert_eq!((engine.running(), engine.waiting(), engine.cache_use()), (1, 1, (4, 4)));
    engine.cancel(ms(2), RequestId(1), &mut events);
    engine.cancel(ms(2), RequestId(1), &mut events);
    assert_eq!((engine.running(), engine.waiting(), engine.counters().cancelled), (0, 1, 1));
    engine.wake(ms(99), &mut events);
    // The step that was in work goes on to 15 ms, for nobody.
    assert_eq!(of(RequestId(1), &events).tokens, [0_u64; 0]);
    assert_eq!(of(RequestId(2), &events), seen(&[30], 0));
}

#[test]
fn a_right_draft_gives_several_tokens_a_step() {
    let check = |tokens, acceptance, output, expected: &[u64]| {
        let speculation = Some(Speculation { tokens: some(tokens), acceptance });
        let steps = Steps { speculation, ..steps(Scheduler::Vllm, 10.0) };
        let mut engine = engine(100, 8, steps);
        assert_eq!(run(&mut engine, vec![(0, request(1, 1, 6, output))]), [seen(expected, 0)]);
        assert_eq!(engine.counters().generated_tokens, u64::try_from(output).unwrap());
        // What was computed and nothing else is kept: all but the newest token, in blocks of 4.
        let mut again = request(2, 1, 6, output + 20);
        again.content = [(1, 6), (1_001, output), (7, 20)]
            .map(|(key, tokens)| Span { key, from: 0, tokens })
            .into_iter()
            .collect();
        (again.prompt_tokens, again.output_tokens) = (6 + output + 19, 1);
        let kept = (6 + output - 1) / 4 * 4;
        assert_eq!(run(&mut engine, vec![(1_000, again)])[0].cached, Some(kept));
    };
    // The prompt 16 ms and one token. A step that checks 3 more takes 14 ms and gives all 4; the last one
    // has room for one guess: 12 ms.
    check(3, 1.0, 7, &[16, 30, 30, 30, 30, 42, 42]);
    // Nothing is right: each step checks what it may and gives its own token alone.
    check(3, 0.0, 4, &[16, 29, 41, 52]);
    check(1, 1.0, 4, &[16, 28, 28, 39]);
}

#[test]
fn drafts_are_right_as_often_as_they_are_said_to_be() {
    let speculation = Some(Speculation { tokens: some(3), acceptance: 0.7 });
    let mut engine = engine(10_000, 8, Steps { speculation, ..steps(Scheduler::Vllm, 0.0) });
    let found = run(&mut engine, vec![(0, request(1, 1, 6, 20_000))]);
    let mut steps = found[0].tokens.clone();
    assert_eq!(steps.len(), 20_000);
    steps.dedup();
    // (1 - 0.7^4) / 0.3 = 2.533 tokens a step, give or take 5 deviations of the mean (1.21 / sqrt(7,900)).
    let mean = 20_000.0 / f64::from(u32::try_from(steps.len()).unwrap());
    assert!((2.46..2.61).contains(&mean), "{mean}");
}

#[test]
fn a_presets_steps_take_the_time_of_its_formula() {
    let preset = Preset::named("qwen3-32b-1xh200").unwrap();
    let time = StepTime { jitter: 0.0, ..preset.time };
    let policy = Policy::Steps(Steps { time, ..Steps::default() });
    let mut engine = Engine::new(EngineConfig { policy, ..preset.engine() });
    let mut events = vec![];
    engine.arrive(Nanos::ZERO, request(1, 1, 10_000, 3), &mut events);
    while let Some(due) = engine.next_wake() {
        engine.wake(due, &mut events);
    }
    let at: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Token { at, .. } => Some(at.0),
            Event::Admitted { .. } | Event::Preempted { .. } => None,
        })
        .collect();
    // 8,192 tokens: 6.64 + 0.0851 * 8,192 + 3.32e-6 * 8,192^2 / 2 = 815.17991424 ms, and 1,808 behind
    // them: 6.64 + 0.0851 * 1,808 + 3.32e-6 * 1,808 * (8,192 + 904) = 215.10008576 ms.
    let prefill = 815_179_914 + 215_100_086;
    // Then a token at 10,000 and one at 10,001: 18.67 + 0.0358 + 60e-6 * context.
    assert_eq!(at, [prefill, prefill + 19_305_800, prefill + 2 * 19_305_800 + 60]);
}
