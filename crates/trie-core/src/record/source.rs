//! Where rows come from.

/// Rows that come one after another, such as those of a file.
///
/// A row is lent and not given away: who reads a million of them need not make each anew.
pub trait Source<T>: Sized {
    /// Hands each row to one of `shares`, the one that `which` names.
    ///
    /// A share gets its rows in order. Several may be at work at a time: what one of them makes of its
    /// rows must not hang on those of the others.
    fn deal<S: Send>(self, shares: &mut [S], which: fn(&T) -> usize, take: fn(&mut S, &T));

    /// Hands out every row, in order.
    fn each(self, take: &mut (dyn FnMut(&T) + Send)) {
        self.deal(&mut [take], |_| 0, |take, row| take(row));
    }
}

/// Rows in memory.
impl<T, Rows: IntoIterator<Item = T>> Source<T> for Rows {
    fn deal<S: Send>(self, shares: &mut [S], which: fn(&T) -> usize, take: fn(&mut S, &T)) {
        self.into_iter().for_each(|row| take(&mut shares[which(&row)], &row));
    }
}
