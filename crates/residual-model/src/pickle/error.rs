//! What can be wrong with a pickle and its arrays.

use super::dtype::{DTypeError, Kind};

/// A byte stream that breaks the pickle format, or uses a part of it that is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the file ends early: {announced} bytes are announced, {left} are left")]
    EndsEarly { announced: u64, left: usize },
    #[error("the file ends inside a text argument")]
    EndsInsideLine,
    #[error("a text argument is not UTF-8")]
    ArgumentNotUtf8,
    #[error("the file is larger than 4 GiB")]
    TooLarge,
    #[error("bytes follow the end of the pickle: several dumps in one file are not read")]
    TrailingBytes,
    #[error("0x{0:02x} is not a pickle opcode")]
    UnknownOpcode(u8),
    #[error("protocol {0} is not known; dump with protocol 5 or lower")]
    UnknownProtocol(u8),
    #[error("an opcode takes from an empty stack")]
    PopFromEmptyStack,
    #[error("an opcode reads from an empty stack")]
    EmptyStack,
    #[error("no mark is open")]
    NoMark,
    #[error("a mark lies above the stack")]
    MarkAboveStack,
    #[error("memo entry {0} was never written")]
    UnknownMemo(u64),
    #[error("'{0}' is not a memo index")]
    NotAMemoIndex(String),
    #[error("'{0}' is not an integer")]
    NotAnInteger(String),
    #[error("'{0}' is not a number")]
    NotANumber(String),
    #[error("a string is not UTF-8")]
    StringNotUtf8,
    #[error("a string has no closing quote")]
    UnclosedString,
    #[error("a string has a broken escape")]
    BrokenEscape,
    #[error("a dict has a key without a value")]
    KeyWithoutValue,
    #[error("items are appended to something that is not a list")]
    AppendToNonList,
    #[error("keys are set on something that is not a dict")]
    SetOnNonDict,
    #[error("state is given to something that is not an object")]
    StateOfNonObject,
    #[error("a global is not named by two strings")]
    UnnamedGlobal,
    #[error("it has persistent ids, as PyTorch writes them: only scikit-learn models are read")]
    PersistentId,
    #[error("it uses the extension registry, which hides the names of what it would call")]
    ExtensionRegistry,
    #[error("its buffers were written elsewhere (buffer_callback); dump without it")]
    OutOfBandBuffer,
    #[error("it uses an opcode of Python 2 instances; dump with protocol 2 or higher")]
    Python2Instance,
    #[error(transparent)]
    Array(#[from] ArrayError),
}

/// An array of numpy that cannot be read, or does not hold what is expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrayError {
    #[error("an array has no state")]
    NoState,
    #[error("a numpy scalar has no value")]
    NoScalarValue,
    #[error("a buffer array has too few arguments")]
    TooFewArguments,
    #[error("a joblib array has no {0}")]
    NoJoblibAttribute(&'static str),
    #[error("a joblib array has no data")]
    NoJoblibData,
    #[error("a nested joblib array is not an array")]
    NotANestedArray,
    #[error("array order {0} is not known")]
    UnknownOrder(String),
    #[error("an axis order is not a permutation")]
    NotAPermutation,
    #[error("an array has {0} axes")]
    TooManyAxes(usize),
    #[error("{0} is not the shape of an array")]
    NotAShape(String),
    #[error("an array of shape {0:?} is too large")]
    ShapeTooLarge(Vec<usize>),
    #[error("an array is too large")]
    TooLarge,
    #[error("an array of shape {shape:?} needs {needed} bytes or objects, {found} are there")]
    WrongLength {
        shape: Vec<usize>,
        needed: usize,
        found: usize,
    },
    #[error("a record has no field {0}")]
    NoField(String),
    #[error("expected an array of {wanted}, found one of {found:?}")]
    WrongKind { found: Kind, wanted: &'static str },
    #[error("expected an array of numbers, found one of objects")]
    ObjectsForNumbers,
    #[error("expected an array of objects, found one of numbers")]
    NumbersForObjects,
    #[error("an object array holds more than {0}")]
    MixedObjects(&'static str),
    #[error("expected bytes, found {0}")]
    NotBytes(String),
    #[error("encoded bytes are not text")]
    EncodedBytesNotText,
    #[error("encoded bytes are not Latin-1")]
    EncodedBytesNotLatin1,
    #[error(transparent)]
    DType(#[from] DTypeError),
}
