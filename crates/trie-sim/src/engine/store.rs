//! The memory of an engine that works in steps: where keys and values are, and whether there is room.

use std::num::NonZeroUsize;

use super::{
    cache::{Lease, PrefixCache},
    sequence::Sequence,
    settings::{EngineConfig, HostTier, Scheduler, Steps},
    slots::Slots,
};

/// Keys and values of all requests.
#[derive(Debug)]
pub(super) enum Store {
    /// Blocks that requests share.
    Paged {
        cache: Box<PrefixCache>,
        host: Option<Box<Host>>,
        /// Whether a request is given all the blocks it may need when it is admitted.
        reserve: bool,
        /// Blocks promised and not yet taken.
        reserved: usize,
        block: usize,
    },
    /// A share for each slot.
    Slots(Slots),
}

/// The second tier.
#[derive(Debug)]
pub(super) struct Host {
    tier: HostTier,
    cache: PrefixCache,
}

impl Host {
    fn new(tier: HostTier, block: NonZeroUsize) -> Self {
        Self { tier, cache: PrefixCache::new(block, tier.tokens.get() / block.get()) }
    }
}

/// What one running request holds.
#[derive(Debug)]
pub(super) enum Hold {
    Blocks { lease: Lease, reserved: usize },
    Slot(usize),
}

/// What of a prompt is there already, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// Needs no work.
    pub(super) cached: usize,
    /// Of it, what lies on the host and is loaded first.
    pub(super) loaded: usize,
}

impl Store {
    pub(super) fn new(config: &EngineConfig, steps: &Steps) -> Self {
        let block = config.block;
        let paged = |reserve| Self::Paged {
            cache: Box::new(PrefixCache::new(block, config.blocks())),
            host: steps.host.map(|tier| Box::new(Host::new(tier, block))),
            reserve,
            reserved: 0,
            block: block.get(),
        };
        match steps.scheduler {
            Scheduler::Vllm | Scheduler::Sglang { .. } => paged(false),
            Scheduler::Trtllm => paged(true),
            Scheduler::Llamacpp => {
                let slots = config.max_num_seqs.map_or(1, NonZeroUsize::get);
                Self::Slots(Slots::new(slots, config.cache_tokens))
            }
        }
    }

    /// Whether a request of so many tokens could ever run.
    pub(super) fn fits(&self, tokens: usize) -> bool {
        match self {
            Self::Paged { cache, block, .. } => tokens.div_ceil(*block) <= cache.capacity(),
            Self::Slots(slots) => tokens <= slots.size(),
        }
    }

    /// What is there of the first `tokens` of `content`.
    pub(super) fn hit(&self, content: &Sequence, tokens: usize) -> Hit {
        match self {
            Self::Paged { cache, host, block, .. } => {
                let near = cache.hit(content, tokens) * block;
                let far = host.as_ref().map_or(0, |host| host.cache.hit(content, tokens) * block);
                Hit { cached: near.max(far), loaded: far.saturating_sub(near) }
            }
            Self::Slots(slots) => {
                let cached = slots.choose(content, tokens).map_or(0, |(_, held)| held);
                Hit { cached, loaded: 0 }
            }
        }
    }

    /// Room for the first `to` tokens of a request that may come to hold `most`; None where there is none.
    pub(super) fn admit(
        &mut self,
        content: &Sequence,
        known: usize,
        to: usize,
        most: usize,
    ) -> Option<Hold> {
        match self {
            Self::Paged { cache, reserve, reserved, block, .. } => {
                let mut lease = Lease::default();
                let wanted = if *reserve {
                    // Only what is taken at once cannot be evicted before it is needed.
                    let kept = cache.hit(content, to);
                    let free = cache.need(&lease, content, kept * *block);
                    most.div_ceil(*block) - kept + free
                } else {
                    0
                };
                let room = cache.capacity() - cache.in_use();
                if *reserved + wanted > room || !cache.take(&mut lease, content, to) {
                    return None;
                }
                let taken = room - (cache.capacity() - cache.in_use());
                let left = wanted.saturating_sub(taken);
                *reserved += left;
                Some(Hold::Blocks { lease, reserved: left })
            }
            Self::Slots(slots) => {
                let (slot, _) = slots.choose(content, known)?;
                slots.occupy(slot);
                Some(Hold::Slot(slot))
            }
        }
    }

    /// Room for the first `to` tokens of a running request; where there is none, nothing changes.
    pub(super) fn extend(&mut self, hold: &mut Hold, content: &Sequence, to: usize) -> bool {
        match (self, hold) {
            (Self::Paged { cache, reserved, .. }, Hold::Blocks { lease, reserved: own }) => {
                let before = cache.in_use();
                let there_was_room = cache.take(lease, content, to);
                // Fewer than before where a block that became full is one that another request uses.
                let used = cache.in_use().saturating_sub(before).min(*own);
                *own -= used;
                *reserved -= used;
                there_was_room
            }
            (Self::Slots(_), Hold::Slot(_)) => true,
            (Self::Paged { .. }, Hold::Slot(_)) | (Self::Slots(_), Hold::Blocks { .. }) => {
                unreachable!("a store gives one kind of hold")
            }
        }
    }

    /// Gives back what a request held, the first `computed` tokens of which are worth keeping.
    pub(super) fn release(&mut self, hold: Hold, content: &Sequence, computed: usize) {
        match (self, hold) {
            (
                Self::Paged { cache, host, reserved, block, .. },
                Hold::Blocks { lease, reserved: own },
            ) => {
                *reserved -= own;
                cache.release(lease);
                if let Some(Host { cache: host, .. }) = host.as_deref_mut() {
                    let mut lease = Lease::default();
                    host.take_blocks(&mut lease, content, computed / *block);
                    host.release(lease);
                }
            }
            (Self::Slots(slots), Hold::Slot(slot)) => slots.release(slot, content, computed),
            (Self::Paged { .. }, Hold::Slot(_)) | (Self::Slots(_), Hold::Blocks { .. }) => {
                unreachable!("a store gives one kind of hold")
            }
        }
    }

    /// Milliseconds to load so many tokens from the host.
    pub(super) fn load_millis(&self, tokens: usize) -> f64 {
        match self {
            Self::Paged { host: Some(host), .. } if tokens > 0 => {
                let tier = host.tier;
                let tokens = u32::try_from(tokens).expect("a prompt is under 2^32 tokens");
                f64::from(tokens) * bytes(tier.bytes_per_token) / (tier.gigabytes_per_s * 1e6)
            }
            Self::Paged { .. } | Self::Slots(_) => 0.0,
        }
    }

    /// Forgets everything that no running request uses.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Paged { cache, host, .. } => {
                cache.forget();
                if let Some(Host { cache: host, .. }) = host.as_deref_mut() {
                    host.forget();
                }
            }
            Self::Slots(slots) => slots.forget(),
        }
    }

    /// Blocks in use, and how many there are; for slots tokens.
    pub(super) fn usage(&self) -> (usize, usize) {
        match self {
            Self::Paged { cache, .. } => (cache.in_use(), cache.capacity()),
            Self::Slots(slots) => (slots.held(), slots.size()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a token's keys and values are under 2^53 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}
