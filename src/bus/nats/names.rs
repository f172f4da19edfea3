//! Names on the broker: a subject may have dots, a stream or consumer may not.

/// Prefix and mapping of names.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The subject that a topic's messages are published to.
    pub(super) fn subject(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The stream of a topic. `+` stands for a dot; it cannot occur in a topic's name.
    pub(super) fn stream(&self, topic: &str) -> String {
        self.subject(topic).replace('.', "+")
    }

    /// The durable consumer of a group in that run of the server, see [`super::topology`]; `@` cannot occur in a
    /// group's name.
    #[expect(
        clippy::unused_self,
        reason = "the mapping is one thing, prefix or not"
    )]
    pub(super) fn consumer(&self, group: &str, run: Option<&str>) -> String {
        let name = group.replace('.', "+");
        match run {
            Some(run) => format!("{name}@{run}"),
            None => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_topics_never_share_a_stream() {
        let names = Names::new("p.");
        assert_eq!(names.subject("a.b"), "p.a.b");
        assert_eq!(names.stream("a.b"), "p+a+b");
        assert_ne!(names.stream("a.b"), names.stream("a_b"));
    }
}
