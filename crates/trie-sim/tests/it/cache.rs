//! The prefix cache against a naive one: a list of blocks, each known by all tokens up to its end.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use trie_core::units::Nanos;
use trie_sim::engine::{
    Engine, EngineConfig, Event, FinishReason, Lease, Policy, PrefixCache, Request, RequestId,
    Sequence, Span, Steps,
};

/// A token by the text it stands in and its place there.
pub(super) type Token = (u128, u64);

/// Blocks in the order in which they would be evicted, those in use apart.
#[derive(Default)]
pub(super) struct Naive {
    block: usize,
    capacity: usize,
    free: Vec<Vec<Token>>,
    /// Blocks in use, and by how many.
    used: Vec<(Vec<Token>, usize)>,
    /// Blocks that are not full, each of one request.
    loose: usize,
}

impl Naive {
    pub(super) fn new(block: usize, capacity: usize) -> Self {
        Self { block, capacity, ..Self::default() }
    }

    fn knows(&self, block: &[Token]) -> bool {
        self.free.iter().any(|known| known == block)
            || self.used.iter().any(|(known, _)| known == block)
    }

    pub(super) fn hit(&self, tokens: &[Token]) -> usize {
        self.blocks(tokens).take_while(|block| self.knows(block)).count()
    }

    fn blocks<'t>(&self, tokens: &'t [Token]) -> impl Iterator<Item = &'t [Token]> + use<'t> {
        let block = self.block;
        (1..=tokens.len() / block).map(move |full| &tokens[..full * block])
    }

    fn kept(&self) -> usize {
        self.free.len() + self.in_use()
    }

    fn in_use(&self) -> usize {
        self.used.len() + self.loose
    }

    /// Grows what is held of `tokens` from `from` to `to` of them, or does nothing.
    pub(super) fn take(&mut self, tokens: &[Token], from: usize, to: usize) -> bool {
        let is_loose = |count: usize| usize::from(!count.is_multiple_of(self.block));
        let (before, after) = (is_loose(from), is_loose(to));
        let new: Vec<_> = self.blocks(&tokens[..to]).skip(from / self.block).collect();
        let unused =
            new.iter().filter(|block| !self.used.iter().any(|(known, _)| known == *block)).count();
        if self.in_use() - before + unused + after > self.capacity {
            return false;
        }
        self.loose -= before;
        for block in new {
            self.put_to_use(block);
        }
        self.make_room(after);
        self.loose += after;
        true
    }

    fn put_to_use(&mut self, block: &[Token]) {
        if let Some((_, users)) = self.used.iter_mut().find(|(known, _)| known == block) {
            *users += 1;
            return;
        }
        match self.free.iter().position(|known| known == block) {
            Some(place) => drop(self.free.remove(place)),
            None => self.make_room(1),
        }
        self.used.push((block.to_vec(), 1));
    }

    fn make_room(&mut self, blocks: usize) {
        while self.kept() + blocks > self.capacity {
            self.free.remove(0);
        }
    }

    pub(super) fn release(&mut self, tokens: &[Token], held: usize) {
        self.loose -= usize::from(!held.is_multiple_of(self.block));
        let blocks: Vec<_> = self.blocks(&tokens[..held]).collect();
        for block in blocks.into_iter().rev() {
            let place = self.used.iter().position(|(known, _)| known == block).unwrap();
            self.used[place].1 -= 1;
            if self.used[place].1 == 0 {
                let (block, _) = self.used.remove(place);
                self.free.push(block);
            }
        }
    }
}

pub(super) fn tokens(sequence: &Sequence) -> Vec<Token> {
    let spans = sequence.slice(0, sequence.len());
    spans.flat_map(|span| (span.from..).take(span.tokens).map(move |at| (span.key, at))).collect()
}

/// Prompts that share beginnings: few texts, few places to start in them.
pub(super) fn sequences() -> impl Strategy<Value = Sequence> {
    let span = (0..4_u128, 0..3_u64, 1..12_usize);
    proptest::collection::vec(span, 1..6).prop_map(|spans| {
        spans.into_iter().map(|(key, from, tokens)| Span { key, from: from * 3, tokens }).collect()
    })
}

/// What is done next: a new request, one that grows, or one that ends.
#[derive(Clone, Debug)]
enum Deed {
    Begin(Sequence, usize),
    Grow(usize, usize),
    End(usize),
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (sequences(), any::<usize>()).prop_map(|(content, to)| Deed::Begin(content, to)),
        (any::<usize>(), any::<usize>()).prop_map(|(which, by)| Deed::Grow(which, by)),
        any::<usize>().prop_map(Deed::End),
    ]
}

struct Held {
    content: Sequence,
    lease: Lease,
    tokens: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_use_agrees_with_a_list_of_blocks(
        block in 1..5_usize,
        capacity in 0..24_usize,
        deeds in proptest::collection::vec(deeds(), 1..40),
    ) {
        let mut cache = PrefixCache::new(NonZeroUsize::new(block).unwrap(), capacity);
        let mut naive = Naive::new(block, capacity);
        let mut held: Vec<Held> = vec![];
        for deed in deeds {
            match deed {
                Deed::Begin(content, to) => {
                    let all = tokens(&content);
                    prop_assert_eq!(cache.hit(&content, content.len()), naive.hit(&all));
                    let tokens = to % (content.len() + 1);
                    let mut lease = Lease::default();
                    let taken = cache.take(&mut lease, &content, tokens);
                    prop_assert_eq!(taken, naive.take(&all, 0, tokens));
                    if taken {
                        held.push(Held { content, lease, tokens });
                    }
                }
                Deed::Grow(which, by) if !held.is_empty() => {
                    let place = which % held.len();
                    let Held { content, lease, tokens: now } = &mut held[place];
                    let to = *now + by % (content.len() - *now + 1);
                    let taken = cache.take(lease, content, to);
                    prop_assert_eq!(taken, naive.take(&tokens(content), *now, to));
                    *now = if taken { to } else { *now };
                }
                Deed::End(which) if !held.is_empty() => {
                    let one = held.swap_remove(which % held.len());
                    cache.release(one.lease);
                    naive.release(&tokens(&one.content), one.tokens);
                }
                Deed::Grow(..) | Deed::End(_) => {}
            }
            prop_assert_eq!((cache.len(), cache.in_use()), (naive.kept(), naive.in_use()));
        }
    }

    #[test]
    fn cached_tokens_of_requests_one_after_another_agree_with_it(
        block in 1..5_usize,
        capacity in 30..60_usize,
        requests in proptest::collection::vec((sequences(), 1..9_usize), 1..30),
    ) {
        let mut naive = Naive::new(block, capacity);
        let mut engine = Engine::new(EngineConfig {
            policy: Policy::Steps(Steps { max_num_batched_tokens: NonZeroUsize::new(7).unwrap(), ..Steps::default() }),
            block: NonZeroUsize::new(block).unwrap(),
            cache_tokens: block * capacity,
            max_num_seqs: None,
        });
        let mut at = Nanos::ZERO;
        for (number, (content, output)) in (0_u128..).zip(requests) {
            let prompt = content.len();
            if prompt + output > 30 {
                continue;
            }
            let mut content = content;
            content.push(Span { key: 1_000 + number, from: 0, tokens: output });
            let all = tokens(&content);
            let expected = naive.hit(&all[..prompt - 1]) * block;
            at = at.plus(Nanos::SECOND);
            let id = RequestId(u64::try_from(number).unwrap());
            let finish = FinishReason::Length;
            let request = Request { id, prompt_tokens: prompt, output_tokens: output, finish, content };
            let mut events = vec![];
            engine.arrive(at, request, &mut events);
            while let Some(next) = engine.next_wake() {
                engine.wake(next, &mut events);
            }
            let found = events.iter().find_map(|event| match event {
                Event::Admitted { cached_tokens, .. } => Some(*cached_tokens),
                Event::Token { .. } | Event::Preempted { .. } => None,
            });
            prop_assert_eq!(found, Some(expected));
            prop_assert!(naive.take(&all, 0, prompt + output - 1));
            naive.release(&all, prompt + output - 1);
        }
    }
}
