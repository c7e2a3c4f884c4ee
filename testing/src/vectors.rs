//! The golden vectors of `tests/data/vectors.tsv`. The file explains its columns.

use crate::driver::unhex;

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Vector {
    pub id: &'static str,
    pub decoder: &'static str,
    pub input: Vec<u8>,
    /// What the decoder must return, in the words of the table.
    pub result: &'static str,
}

/// Returns all rows.
pub fn vectors() -> impl Iterator<Item = Vector> {
    let lines = include_str!("../../tests/data/vectors.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[id, decoder, input, result, _meaning] = columns.as_slice() else {
            panic!("not five columns: {line}");
        };
        Vector {
            id,
            decoder,
            input: unhex(input),
            result,
        }
    })
}

/// Returns the rows of a decoder.
pub fn vectors_of(decoder: &str) -> impl Iterator<Item = Vector> {
    vectors().filter(move |vector| vector.decoder == decoder)
}
