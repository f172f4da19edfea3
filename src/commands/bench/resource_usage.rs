//! What a process costs according to the kernel: CPU time and peak memory. On Linux only; elsewhere both are unknown.

use std::fs;

use serde::Serialize;

/// The unit of CPU time in `/proc`, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Of one process, up to now.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct ResourceUsage {
    /// CPU time, user and system, in seconds.
    pub(super) cpu_s: Option<f64>,
    /// The most memory that was resident at once, in bytes.
    pub(super) peak_bytes: Option<u64>,
}

impl ResourceUsage {
    pub(super) fn of_this_process() -> Self {
        Self::read("self")
    }

    pub(super) fn of(pid: u32) -> Self {
        Self::read(&pid.to_string())
    }

    /// The later of two readings of one process; the kernel reports nothing about one that has ended.
    pub(super) fn or(self, earlier: Self) -> Self {
        Self {
            cpu_s: self.cpu_s.filter(|cpu_s| *cpu_s > 0.0).or(earlier.cpu_s),
            peak_bytes: self.peak_bytes.or(earlier.peak_bytes),
        }
    }

    fn read(process: &str) -> Self {
        let file = |name| fs::read_to_string(format!("/proc/{process}/{name}")).ok();
        Self {
            cpu_s: file("stat").as_deref().and_then(cpu_s),
            peak_bytes: file("status").as_deref().and_then(peak_bytes),
        }
    }
}

/// From `/proc/PID/stat`: fields 14 and 15, counted after the name, which may hold spaces and parentheses.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// From `/proc/PID/status`: the line `VmHWM: 1234 kB`.
fn peak_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_reports_is_read() {
        let stat = "42 (a ) name) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0";
        assert_eq!(cpu_s(stat), Some(1.75));
        assert_eq!(
            peak_bytes("VmPeak:\t9 kB\nVmHWM:\t  2048 kB\n"),
            Some(2_097_152)
        );
        assert_eq!((cpu_s("42"), peak_bytes("VmHWM:")), (None, None));
    }

    #[test]
    fn the_last_reading_of_a_process_that_ended_is_kept() {
        let alive = ResourceUsage {
            cpu_s: Some(2.0),
            peak_bytes: Some(7),
        };
        let kept = ResourceUsage::default().or(alive);
        assert_eq!((kept.cpu_s, kept.peak_bytes), (Some(2.0), Some(7)));
    }
}
