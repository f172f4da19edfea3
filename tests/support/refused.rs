//! Runs of the binary that are to fail, and what they print then.

use crate::ended::Ended;

impl Ended {
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32, said: &[&str]) -> Self {
        let stderr = self.stderr();
        assert_eq!(self.0.status.code(), Some(code), "{stderr}");
        for words in said {
            assert!(stderr.contains(words), "`{words}` is not in:\n{stderr}");
        }
        self
    }
}
