//! An order in which every step comes after all that it refers to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::Fault;
use super::link::Edges;
use super::steps::Listed;

/// How many ids of a cycle a message lists.
const SHOWN: usize = 8;

/// Places in the list, sorted: of those that may come next, the first listed does.
pub(super) fn order(listed: &[Listed<'_>], edges: &[Edges]) -> Result<Vec<usize>, Fault> {
    let mut followers = vec![Vec::new(); edges.len()];
    let mut missing = vec![0_usize; edges.len()];
    for (at, edges) in edges.iter().enumerate() {
        for before in edges.before() {
            followers[before].push(at);
            missing[at] += 1;
        }
    }
    let ready = (0..edges.len()).filter(|at| missing[*at] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for &follower in &followers[at] {
            missing[follower] -= 1;
            if missing[follower] == 0 {
                ready.push(Reverse(follower));
            }
        }
    }
    if order.len() == edges.len() { Ok(order) } else { Err(cycle(listed, edges, &missing)) }
}

/// Names a cycle among the steps that could not be ordered.
fn cycle(listed: &[Listed<'_>], edges: &[Edges], missing: &[usize]) -> Fault {
    let stuck = |at: &usize| missing[*at] > 0;
    let start = (0..edges.len()).find(stuck).expect("a step is left over");
    let mut path = vec![start];
    let mut seen = vec![None; edges.len()];
    loop {
        let at = path[path.len() - 1];
        if let Some(first) = seen[at] {
            path.drain(..first);
            break;
        }
        seen[at] = Some(path.len() - 1);
        let before = edges[at].before().find(stuck);
        path.push(before.expect("a step that is left over waits for another one"));
    }
    path.pop();
    // Begin where the list does, so that the message does not depend on where the walk began.
    let first = (0..path.len()).min_by_key(|index| path[*index]).expect("a cycle has a step");
    path.rotate_left(first);
    let shown = path.iter().take(SHOWN).chain(path.first().filter(|_| path.len() <= SHOWN));
    let names: Vec<&str> = shown.map(|at| listed[*at].id.text.as_ref()).collect();
    let more = if path.len() > SHOWN { " ..." } else { "" };
    Fault::new(
        listed[path[0]].value.column,
        format!("a cycle: {}{more}", names.join(" waits for ")),
        "steps that wait only for steps that do not wait for them",
    )
    .field(format!("steps[{}]", path[0]))
    .hint("a step also waits for the previous one of its lane where `after` does not say otherwise")
}

impl Edges {
    /// All steps that this one refers to.
    fn before(&self) -> impl Iterator<Item = usize> {
        self.after.iter().map(|(at, _, _)| *at).chain(self.from)
    }
}
