use std::num::NonZeroUsize;

use trie_core::units::Nanos;

use super::*;

const BLOCK: usize = 4;

fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// 250 ms to the first token, 2 ms more for each uncached token, 10 ms between tokens.
fn engine(cache_tokens: usize, max_num_seqs: Option<usize>) -> Engine {
    Engine::new(EngineConfig {
        policy: Policy::Fixed { api: ms(50), ttft: ms(200), prefill: ms(2), itl: ms(10) },
        block: NonZeroUsize::new(BLOCK).unwrap(),
        cache_tokens,
        max_num_seqs: max_num_seqs.map(|n| NonZeroUsize::new(n).unwrap()),
    })
}

fn request(id: u64, prompt: &[u32], output: &[u32]) -> Request {
    Request {
        id: RequestId(id),
        prompt_tokens: prompt.len(),
        output_tokens: output.len(),
        finish: FinishReason::Length,
        content: chain(prompt.iter().chain(output).copied(), BLOCK),
    }
}

/// Runs one request from `start` to its end; gives the cached tokens and the token times.
fn run(engine: &mut Engine, start: Nanos, request: Request) -> (usize, Vec<Nanos>) {
    let mut events = Vec::new();
    engine.arrive(start, request, &mut events);
    while let Some(at) = engine.next_wake() {
        engine.wake(at, &mut events);
    }
    let mut cached = None;
    let mut times = Vec::new();
    for event in events {
        match event {
            Event::Admitted { cached_tokens, .. } => cached = Some(cached_tokens),
            Event::Token { at, .. } => times.push(at),
            Event::Preempted { .. } => {}
        }
    }
    (cached.unwrap(), times)
}

fn tokens(from: u32, count: u32) -> Vec<u32> {
    (from..from + count).collect()
}

#[test]
fn tokens_come_on_schedule() {
    let mut engine = engine(1_000, None);
    // 250 ms + 10 uncached tokens at 2 ms, then 10 ms each.
    let (cached, times) = run(&mut engine, ms(7), request(1, &tokens(0, 10), &tokens(90, 3)));
    assert_eq!((cached, times), (0, vec![ms(277), ms(287), ms(297)]));
}

#[test]
fn cached_tokens_are_whole_blocks_and_never_the_last_prompt_token() {
    let check = |first: u32, then: u32, expected| {
        let mut engine = engine(1_000, None);
        run(&mut engine, ms(0), request(1, &tokens(0, first), &[500]));
        let second = request(2, &tokens(0, then), &[501]);
        let (cached, _) = run(&mut engine, ms(1_000), second);
        assert_eq!(cached, expected, "{then} tokens after {first}");
    };
    check(3, 20, 0);
    check(4, 20, 4);
    check(11, 20, 8);
    // All 12 are kept, but the last prompt token is computed: 11 round down to 8.
    check(12, 12, 8);
    check(12, 13, 12);
}

#[test]
fn the_newest_token_of_an_answer_is_not_kept() {
    let mut engine = engine(1_000, None);
    // 6 + 3 = 9 tokens, 8 of them computed: two blocks.
    run(&mut engine, ms(0), request(1, &tokens(0, 6), &tokens(6, 3)));
    let (cached, _) = run(&mut engine, ms(1_000), request(2, &tokens(0, 20), &[500]));
    assert_eq!(cached, 8);
    // 6 + 2 = 8 tokens, 7 of them computed: one block.
    let mut engine = super::tests::engine(1_000, None);
    run(&mut engine, ms(0), request(1, &tokens(0, 6), &tokens(6, 2)));
    let (cached, _) = run(&mut engine, ms(1_000), request(2, &tokens(0, 20), &[500]));
    assert_eq!(cached, 4);
}

#[test]
fn two_traces_share_their_prefix_and_keep_their_own_turns() {
    let mut engine = engine(1_000, None);
    let shared = tokens(0, 8);
    let turn = |own: u32, length: u32| [shared.clone(), tokens(own, length)].concat();
    // The first turns: 8 shared tokens and 4 of their own, 5 tokens of answer.
    let (a, _) = run(&mut engine, ms(0), request(1, &turn(100, 4), &tokens(104, 5)));
    let (b, times) = run(&mut engine, ms(1_000), request(2, &turn(200, 4), &tokens(204, 5)));
    assert_eq!((a, b), (0, 8));
    // 4 of 12 tokens are uncached: 250 + 8 ms.
    assert_eq!(times[0], ms(1_258));
    // The second turns: 17 tokens each were seen, 16 of them computed: four whole blocks.
    let (a, _) = run(&mut engine, ms(2_000), request(3, &turn(100, 12), &[900]));
    let (b, _) = run(&mut engine, ms(3_000), request(4, &turn(200, 12), &[901]));
    assert_eq!((a, b), (16, 16));
    let counters = engine.counters();
    assert_eq!((counters.queried_tokens, counters.hit_tokens), (12 + 12 + 20 + 20, 8 + 16 + 16));
    assert_eq!((counters.prompt_tokens, counters.generated_tokens), (64, 12));
}

#[test]
fn a_full_cache_loses_the_oldest_suffix_first() {
    // Room for 4 blocks; each request leaves 3 of its own.
    let mut engine = engine(16, None);
    run(&mut engine, ms(0), request(1, &tokens(0, 12), &[900]));
    run(&mut engine, ms(1_000), request(2, &tokens(100, 12), &[901]));
    // Of the first only the very first block is left.
    let (cached, _) = run(&mut engine, ms(2_000), request(3, &tokens(0, 13), &[902]));
    assert_eq!(cached, 4);
}

#[test]
fn a_prompt_is_shared_from_its_first_token_on() {
    let mut engine = engine(1_000, None);
    let mut events = Vec::new();
    engine.arrive(ms(0), request(1, &tokens(0, 8), &tokens(90, 100)), &mut events);
    engine.arrive(ms(1), request(2, &tokens(0, 9), &tokens(90, 100)), &mut events);
    engine.arrive(ms(266), request(3, &tokens(0, 9), &tokens(90, 100)), &mut events);
    let cached: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::Admitted { cached_tokens, .. } => Some(*cached_tokens),
            Event::Token { .. } | Event::Preempted { .. } => None,
        })
        .collect();
    assert_eq!(cached, [0, 0, 8]);
}

#[test]
fn over_the_limit_requests_wait_in_order() {
    let mut engine = engine(0, Some(1));
    let mut events = Vec::new();
    for id in 1..=3 {
        engine.arrive(ms(id), request(id, &[1], &[2, 3]), &mut events);
    }
    assert_eq!((engine.running(), engine.waiting()), (1, 2));
    engine.wake(ms(10_000), &mut events);
    let admitted: Vec<(u64, Nanos)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Admitted { id, at, .. } => Some((id.0, *at)),
            Event::Token { .. } | Event::Preempted { .. } => None,
        })
        .collect();
    // Each takes 252 + 10 ms; the next is admitted at that very time, however late the engine is woken.
    assert_eq!(admitted, [(1, ms(1)), (2, ms(263)), (3, ms(525))]);
    assert_eq!((engine.running(), engine.waiting(), engine.next_wake()), (0, 0, None));
    assert_eq!(engine.counters().finished_length, 3);
}

#[test]
fn a_cancelled_request_frees_its_place_and_leaves_what_was_computed() {
    let mut engine = engine(1_000, Some(1));
    let mut events = Vec::new();
    engine.arrive(ms(0), request(1, &tokens(0, 8), &tokens(8, 50)), &mut events);
    engine.arrive(ms(0), request(2, &tokens(0, 20), &[900]), &mut events);
    engine.arrive(ms(0), request(3, &[1], &[2]), &mut events);
    engine.cancel(ms(1), RequestId(3), &mut events);
    assert_eq!(engine.waiting(), 1);
    // 266 ms: the first token; 5 tokens by 306 ms: 8 + 5 - 1 computed: three blocks.
    engine.cancel(ms(306), RequestId(1), &mut events);
    assert!(events.contains(&Event::Admitted { id: RequestId(2), at: ms(306), cached_tokens: 12 }));
    assert_eq!(engine.counters().cancelled, 2);
    engine.cancel(ms(307), RequestId(1), &mut events);
    assert_eq!(engine.counters().cancelled, 2);
}

#[test]
fn an_instant_engine_answers_at_once() {
    let mut engine = Engine::new(EngineConfig {
        policy: Policy::Instant,
        block: NonZeroUsize::new(BLOCK).unwrap(),
        cache_tokens: 100,
        max_num_seqs: None,
    });
    let mut events = Vec::new();
    engine.arrive(ms(5), request(1, &tokens(0, 4), &[1, 2]), &mut events);
    let id = RequestId(1);
    let last = Some(FinishReason::Length);
    let expected = [
        Event::Admitted { id, at: ms(5), cached_tokens: 0 },
        Event::Token { id, at: ms(5), index: 0, tokens: 1, step: 1, finish: None },
        Event::Token { id, at: ms(5), index: 1, tokens: 1, step: 2, finish: last },
    ];
    assert_eq!(events, expected);
}
