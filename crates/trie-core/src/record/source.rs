//! Where rows come from.

/// Rows that come one after another, such as those of a file.
///
/// A row is lent and not given away: who reads a million of them need not make each anew.
pub trait Source<T> {
    /// Hands out every row, in order.
    fn each(self, take: &mut dyn FnMut(&T));
}

/// Rows in memory.
impl<T, Rows: IntoIterator<Item = T>> Source<T> for Rows {
    fn each(self, take: &mut dyn FnMut(&T)) {
        self.into_iter().for_each(|row| take(&row));
    }
}
