//! One pass over the rows of a run, dealt out to shares by trace. No row is kept.

use std::borrow::Cow;

use super::estimate::float;
use super::instruments::Instruments;
use super::objectives::Objectives;
use super::requests::RequestTally;
use super::steady::Steadiness;
use super::traces::{Part, TraceTally, Traces};
use crate::record::{
    ClientRow, Histogram, KvCache, Manifest, Outcome, Reason, RequestRow, Source, TraceRow,
};
use crate::units::{Nanos, Tokens};

/// Shares that the traces are dealt to: as many for any number of cores, since floats are added in the
/// order of the shares. More of them would feed more than four cores, and each has histograms of its own
/// that a core's cache is to hold: 160 kB where latencies lie between 10 and 100 ms.
const SHARES: usize = 4;

/// All runs, folded. Times are nanoseconds since the start of the run they belong to.
#[derive(Debug)]
pub(super) struct Tally {
    /// In the order of runs and instances.
    pub(super) traces: Traces,
    pub(super) requests: RequestTally,
    pub(super) client: ClientTally,
    pub(super) instruments: Instruments,
    pub(super) spans: Vec<Span>,
    pub(super) steadiness: Steadiness,
    /// The size of the server's KV cache; what the first run that has it says.
    pub(super) kv_cache: Option<KvCache>,
    /// Prompt and answer of a request, on average over the whole workload.
    pub(super) mean_context: Option<f64>,
    /// What requests and traces are held against.
    pub(super) objectives: Objectives,
}

/// Runs that are being folded.
#[derive(Debug)]
pub(super) struct Fold {
    shares: Vec<Share>,
    client: ClientTally,
    instruments: Instruments,
    spans: Vec<Span>,
    kv_cache: Option<KvCache>,
    mean_context: Option<f64>,
    objectives: Objectives,
}

/// Some of the traces, with all their requests.
#[derive(Debug)]
struct Share {
    /// The number of the run at hand, and when that was measured, as far as this share's rows say.
    run: usize,
    span: Span,
    traces: Part,
    requests: RequestTally,
    objectives: Objectives,
}

/// When a run was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: Nanos,
    /// The last instant in the window; of a killed run its deadline, until all rows are read.
    pub(super) window: u64,
    /// The end of the run; for a killed one the last stamp seen so far.
    pub(super) end: u64,
    /// Why it ended; `None`: it was killed.
    pub(super) ending: Option<Reason>,
    stream: bool,
    /// Tokens that the server's prefix cache keeps or drops together.
    block: Tokens,
    /// The server leaves cached tokens out where there are none.
    omits_cached_zero: bool,
    /// How many cached tokens beyond those that the run itself had sent are no sign of a cache that
    /// was warm when it started; `None` where content is not the run's alone.
    pub(super) slack: Option<Tokens>,
}

/// What the client did.
#[derive(Debug, Default)]
pub(super) struct ClientTally {
    pub(super) lag: Histogram,
    pub(super) queue_full: u64,
    pub(super) reads: u64,
    pub(super) merged_reads: u64,
    pub(super) clock_steps: u64,
}

impl Fold {
    /// Folds runs whose requests and traces are held against `objectives`.
    pub(super) fn new(objectives: &Objectives) -> Self {
        let share = |_| Share {
            run: 0,
            span: Span::default(),
            traces: Part::default(),
            requests: RequestTally::default(),
            objectives: objectives.clone(),
        };
        Self {
            shares: (0..SHARES).map(share).collect(),
            client: ClientTally::default(),
            instruments: Instruments::default(),
            spans: Vec::new(),
            kv_cache: None,
            mean_context: None,
            objectives: objectives.clone(),
        }
    }

    /// Opens the next run; rows folded from here on belong to it.
    pub(super) fn begin(&mut self, manifest: &Manifest) {
        let span = Span::of(manifest);
        for share in &mut self.shares {
            (share.run, share.span) = (self.spans.len(), span);
            share.traces.begin();
        }
        self.instruments.begin(manifest);
        self.kv_cache = self.kv_cache.or(manifest.kv_cache);
        let all = &manifest.workload;
        let tokens = all.prompt_tokens.saturating_add(all.completion_tokens);
        let mean = (all.requests > 0).then(|| float(tokens) / float(all.requests));
        self.mean_context = self.mean_context.or(mean);
        self.spans.push(span);
    }

    /// Folds `traces.jsonl`. It comes before the run's requests.
    pub(super) fn traces(&mut self, rows: impl Source<TraceRow>) {
        rows.deal(&mut self.shares, |row| share_of(row.trace), Share::trace);
    }

    /// Folds `requests.jsonl`.
    pub(super) fn requests(&mut self, rows: impl Source<RequestRow>) {
        rows.deal(&mut self.shares, |row| share_of(row.trace), Share::request);
    }

    /// Folds a row of `client.jsonl`.
    pub(super) fn client(&mut self, row: &ClientRow) {
        self.instruments.client(row);
        self.client.lag.merge(&row.lag);
        self.client.queue_full += row.queue_full;
        self.client.reads += row.reads;
        self.client.merged_reads += row.merged_reads;
        self.client.clock_steps = self.client.clock_steps.max(row.clock_steps);
    }

    /// Closes a run. The end of a killed one is the last stamp seen.
    pub(super) fn finish(&mut self, duration: Nanos) {
        let ends = self.shares.iter().map(|share| share.span.end);
        let span = self.spans.last_mut().expect("a run was begun");
        span.end = ends.fold(span.end, u64::max);
        if span.ending.is_none() {
            span.window = span.end.min(duration.0);
        }
    }

    /// What all shares saw together.
    pub(super) fn whole(self) -> Tally {
        let Self { shares, client, instruments, spans, kv_cache, mean_context, objectives } = self;
        let (traces, requests): (_, Vec<_>) =
            shares.into_iter().map(|share| (share.traces, share.requests)).unzip();
        let mut requests = requests.into_iter();
        // The others are added to the first one's own memory.
        let mut all = requests.next().unwrap_or_default();
        requests.for_each(|share| all.merge(share));
        let (traces, requests) = (Traces::of(traces), all);
        let steadiness = Steadiness::Unknown;
        Tally {
            traces,
            requests,
            client,
            instruments,
            spans,
            steadiness,
            kv_cache,
            mean_context,
            objectives,
        }
    }
}

fn share_of(trace: u64) -> usize {
    usize::try_from(trace % SHARES as u64).expect("it is below the number of shares")
}

impl Tally {
    /// Length of the window, in nanoseconds: the longest of the runs.
    pub(super) fn window(&self) -> u64 {
        self.spans.iter().map(|span| span.window).max().unwrap_or(0)
    }

    /// Rows that are missing, there twice, or contradict each other.
    pub(super) fn contradictions(&self) -> u64 {
        let traces = self.traces.iter();
        let traces: u64 =
            traces.map(|((run, _), trace)| trace.contradictions(self.spans[run])).sum();
        traces + self.requests.counts.impossible
    }

    /// When a trace of run `run` ended; for one without an end, when its run did.
    pub(super) fn end_of(&self, run: usize, trace: &TraceTally) -> u64 {
        trace.ended.as_ref().map_or(self.spans[run].end, |(at, _)| *at)
    }
}

impl Share {
    fn trace(&mut self, row: &TraceRow) {
        let at = self.span.stamp(row.at_ns);
        self.traces.entry((self.run, row.trace)).add_row(row, at);
    }

    fn request(&mut self, raw: &RequestRow) {
        let times = self.span.times(raw);
        let (span, row) = (self.span, &*self.span.understood(raw));
        let trace = self.traces.entry((self.run, row.trace));
        trace.legs.add(row, &times, trace.steps());
        self.requests.counts.add(row, &times);
        self.requests.counts.add_warmth(row, span);
        self.requests.serve(row, &times, span, trace);
        trace.add_times(row, &times);
        if !self.objectives.is_empty() {
            let goodput = &mut self.requests.goodput;
            goodput.add(&self.objectives, (row, &times), span.window, trace);
        }
        self.requests.add_stream(row, &times, trace);
        self.requests.add_join(row, trace);
        if row.outcome == Outcome::Ok {
            trace.finished_requests += 1;
            self.requests.add_speed(row, &times, trace);
            self.requests.add_output(row, trace);
            self.requests.add_cache(row, span.block, trace);
        }
        self.requests.add_state(row, &times, (self.run, trace.slot()));
        self.requests.add_seed(raw, &times, trace, span.stream);
    }
}

impl Span {
    fn of(manifest: &Manifest) -> Self {
        let ending = manifest.ending.as_ref();
        let end = ending.map_or(0, |ending| since(manifest.start_ns, ending.end_ns));
        let window = match ending.map(|ending| ending.reason) {
            Some(Reason::Deadline) | None => manifest.duration_ns.0,
            Some(Reason::Interrupted | Reason::MaxFailures | Reason::Failed) => {
                end.min(manifest.duration_ns.0)
            }
        };
        let found = manifest.preflight.as_ref().map(|preflight| &preflight.capabilities);
        let simulated = manifest.kv_cache.and_then(|cache| cache.block_size);
        let block = found.and_then(|found| found.block_size).or(simulated).unwrap_or(1).max(1);
        Self {
            start: manifest.start_ns,
            window,
            end,
            ending: ending.map(|ending| ending.reason),
            stream: manifest.stream,
            block,
            omits_cached_zero: found.is_some_and(|found| found.omits_cached_zero),
            slack: slack(manifest, block),
        }
    }

    /// Whether a fault ended it before its time, not the user.
    pub(super) fn broke_off(self) -> bool {
        match self.ending {
            Some(Reason::MaxFailures | Reason::Failed) => true,
            Some(Reason::Deadline | Reason::Interrupted) | None => false,
        }
    }

    /// Since the run's start; a killed run ends at the latest of these.
    fn stamp(&mut self, at: Nanos) -> u64 {
        let at = since(self.start, at);
        if self.ending.is_none() {
            self.end = self.end.max(at);
        }
        at
    }

    fn times(&mut self, row: &RequestRow) -> Times {
        let mut stamp = |at: Option<Nanos>| at.map(|at| self.stamp(at));
        Times {
            waited_until: stamp(row.waited_until_ns),
            intent: stamp(Some(row.intent_ns)).unwrap_or(0),
            start: stamp(row.start_ns),
            connected: stamp(row.connected_ns),
            sent: stamp(row.sent_ns),
            headers: stamp(row.headers_ns).or_else(|| stamp(row.first_event_ns)),
            first_token: stamp(row.first_token_ns),
            first_visible: stamp(row.first_visible_ns),
            last_token: stamp(row.last_token_ns),
            end: stamp(row.end_ns),
        }
    }

    /// The row with what the server means by leaving something out.
    fn understood(self, row: &RequestRow) -> Cow<'_, RequestRow> {
        let told = row.outcome == Outcome::Ok && row.prompt_tokens.is_some();
        if self.omits_cached_zero && told && row.cached_tokens.is_none() {
            return Cow::Owned(RequestRow { cached_tokens: Some(0), ..row.clone() });
        }
        Cow::Borrowed(row)
    }
}

/// The stamps of a request since the start of its run.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) waited_until: Option<u64>,
    pub(super) intent: u64,
    pub(super) start: Option<u64>,
    pub(super) connected: Option<u64>,
    pub(super) sent: Option<u64>,
    headers: Option<u64>,
    pub(super) first_token: Option<u64>,
    pub(super) first_visible: Option<u64>,
    pub(super) last_token: Option<u64>,
    pub(super) end: Option<u64>,
}

impl Times {
    /// The latest instant at which the request was seen alive.
    pub(super) fn last_seen(&self) -> u64 {
        let stamps = [self.start, self.connected, self.sent, self.headers, self.last_token];
        self.end.unwrap_or_else(|| stamps.into_iter().flatten().fold(self.intent, u64::max))
    }
}

/// A block that is filled up by chance. `None` where warmth means nothing: on purpose, or in chats,
/// whose prompts share what the template makes of tools and roles, which nobody follows.
fn slack(manifest: &Manifest, block: Tokens) -> Option<Tokens> {
    // Without the option its default holds.
    let scope = manifest.options.get("cache_scope").map(|option| option.value.as_str());
    (scope != Some("seed") && manifest.history != "chat").then_some(block)
}

fn since(start: Nanos, at: Nanos) -> u64 {
    at.0.saturating_sub(start.0)
}
