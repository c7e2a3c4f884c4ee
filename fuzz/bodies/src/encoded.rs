//! Seeds, written as the values that [`Arbitrary`] decodes from them, so that people can read and write them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::{env, fs};

use arbitrary::{Arbitrary, Unstructured};

/// Appends the bytes that [`Arbitrary`] decodes to the value.
pub(crate) trait Encoded {
    fn encode(&self, out: &mut Vec<u8>);
}

impl Encoded for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Encoded for u16 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

impl Encoded for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl<const N: usize> Encoded for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }
}

/// Each element follows a `true`. A `Vec` is always the last field of a scenario, where the end of the input ends it.
impl<T: Encoded> Encoded for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        for element in self {
            true.encode(out);
            element.encode(out);
        }
    }
}

/// Appends a variant, which is encoded as a fraction of the range of `u32`.
pub(crate) fn variant(name: &str, of: &[&str], out: &mut Vec<u8>) {
    let index = of.iter().position(|other| *other == name).expect("a variant") as u64;
    let first = (index << 32).div_ceil(of.len() as u64);
    out.extend((first as u32).to_le_bytes());
}

/// Implements [`Encoded`] for types whose fields are listed here in their order.
macro_rules! encoded {
    ($(enum $type:ident { $($variant:ident { $($field:ident),* })* })*) => {
        $(impl Encoded for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                const VARIANTS: &[&str] = &[$(stringify!($variant)),*];
                match self {
                    $(Self::$variant { $($field),* } => {
                        super::encoded::variant(stringify!($variant), VARIANTS, out);
                        $($field.encode(out);)*
                    })*
                }
            }
        })*
    };
    ($(struct $type:ident { $($field:ident),* })*) => {
        $(impl Encoded for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }
        })*
    };
}

pub(super) use encoded;

/// Checks that the seeds of a target are these and no others. With `SANS_SOCKS_WRITE_SEEDS=1` it writes them.
pub(crate) fn check<T>(target: &str, seeds: impl IntoIterator<Item = (String, T)>)
where
    T: Encoded + Debug + for<'a> Arbitrary<'a>,
{
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(target);
    let write = env::var_os("SANS_SOCKS_WRITE_SEEDS").is_some();
    let mut files: BTreeMap<_, _> = fs::read_dir(&directory)
        .expect("a directory")
        .map(|file| file.expect("a file").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, path)
        })
        .collect();
    for (name, value) in seeds {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let decoded = T::arbitrary_take_rest(Unstructured::new(&bytes));
        assert_eq!(format!("{decoded:?}"), format!("Ok({value:?})"), "{name}");
        if write {
            fs::write(directory.join(&name), &bytes).expect("a file that can be written");
        }
        files.remove(&name);
        let file = fs::read(directory.join(&name)).unwrap_or_default();
        assert!(
            file == bytes,
            "{name}: run this test with SANS_SOCKS_WRITE_SEEDS=1"
        );
    }
    for path in files.values().filter(|_| write) {
        fs::remove_file(path).expect("a file that can be removed");
    }
    assert!(write || files.is_empty(), "not written here: {files:?}");
}
