//! A disk in memory that loses power on command and forgets what was not synced, as real ones do.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use residual::metric_log::{Disk, DiskFile, Lock};

/// Writes are torn at this grain.
const SECTOR_BYTES: usize = 512;

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// `kill -9`: the system lives on and keeps every write that was made.
    Kill,
    /// Power loss: any part of what was not synced may be gone, in any combination.
    Power,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    files: Vec<File>,
    locks: BTreeSet<PathBuf>,
    /// Calls that change something.
    operations: u64,
    crash_at: Option<u64>,
    is_down: bool,
    /// Bytes that may still be written before the disk is full.
    room: Option<u64>,
    failing_syncs: u32,
}

#[derive(Debug, Default, Clone)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

impl SimDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn operations(&self) -> u64 {
        self.world().operations
    }

    /// The power goes at that operation, counted from the first.
    pub(crate) fn crash_at(&self, operation: Option<u64>) {
        self.world().crash_at = operation;
    }

    /// The power goes now.
    pub(crate) fn pull_plug(&self) {
        self.world().is_down = true;
    }

    /// An operation outside the disk, at which a crash can happen, too. False when it did.
    pub(crate) fn tick(&self) -> bool {
        self.world().change().is_ok()
    }

    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.world().room = bytes;
    }

    pub(crate) fn fail_syncs(&self, number: u32) {
        self.world().failing_syncs = number;
    }

    /// Comes up again after a crash.
    pub(crate) fn reboot(&self, crash: Crash, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = self.world();
        world.is_down = false;
        world.crash_at = None;
        world.locks.clear();
        if crash == Crash::Power {
            world.lose(&mut rng);
        }
    }

    pub(crate) fn read(&self, path: &Path) -> String {
        let world = self.world();
        let bytes = world
            .names
            .get(path)
            .map_or(Vec::new(), |file| world.files[*file].now.clone());
        String::from_utf8(bytes).unwrap()
    }
}

impl World {
    fn check(&self) -> io::Result<()> {
        if self.is_down {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    /// Counts an operation; an error when the power goes at it.
    fn change(&mut self) -> io::Result<()> {
        self.check()?;
        if self.crash_at == Some(self.operations) {
            self.is_down = true;
        }
        self.operations += 1;
        self.check()
    }

    fn lose(&mut self, rng: &mut ChaCha8Rng) {
        let folders: BTreeSet<PathBuf> = self
            .names
            .keys()
            .chain(self.durable_names.keys())
            .filter(|path| self.names.get(*path) != self.durable_names.get(*path))
            .filter_map(|path| path.parent())
            .map(Path::to_owned)
            .collect();
        // A folder's changes reach the disk in order; here either all of them did or none.
        for folder in folders {
            if rng.random_bool(0.5) {
                copy_folder(&folder, &self.durable_names, &mut self.names);
            } else {
                copy_folder(&folder, &self.names, &mut self.durable_names);
            }
        }
        for file in &mut self.files {
            for change in std::mem::take(&mut file.unsynced) {
                if rng.random_bool(0.5) {
                    apply(&mut file.durable, &torn(change, rng));
                }
            }
            file.now = file.durable.clone();
        }
    }
}

/// Makes the names in a folder the same as in the other state.
fn copy_folder(folder: &Path, from: &BTreeMap<PathBuf, usize>, to: &mut BTreeMap<PathBuf, usize>) {
    let is_inside = |path: &Path| path.parent() == Some(folder);
    to.retain(|path, _| !is_inside(path));
    let inside = from.iter().filter(|(path, _)| is_inside(path));
    to.extend(inside.map(|(path, file)| (path.clone(), *file)));
}

/// Keeps some sectors of a write.
fn torn(change: Change, rng: &mut impl Rng) -> Change {
    match change {
        Change::Write(offset, bytes) if rng.random_bool(0.5) => {
            let sectors = bytes.len().div_ceil(SECTOR_BYTES);
            let kept = rng.random_range(0..=sectors) * SECTOR_BYTES;
            let mut cut = bytes;
            cut.truncate(kept.saturating_sub(rng.random_range(0..SECTOR_BYTES)));
            Change::Write(offset, cut)
        }
        whole => whole,
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Size(size) => content.resize(*size, 0),
        Change::Write(_, bytes) if bytes.is_empty() => {}
        Change::Write(offset, bytes) => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.check()?;
        let known = world.names.get(path).copied();
        let file = if let Some(file) = known {
            file
        } else {
            world.change()?;
            world.files.push(File::default());
            let file = world.files.len() - 1;
            world.names.insert(path.to_owned(), file);
            file
        };
        Ok(Box::new(SimFile {
            disk: self.clone(),
            file,
        }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let world = self.world();
        world.check()?;
        Ok(world.names.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let file = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        self.world().check()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let world = &mut *world;
        copy_folder(path, &world.names, &mut world.durable_names);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut world = self.world();
        world.check()?;
        let is_free = world.locks.insert(path.to_owned());
        Ok(is_free.then(|| {
            Lock::new(Unlock {
                disk: self.clone(),
                path: path.to_owned(),
            })
        }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let world = self.world();
        world.check()?;
        let inside = world
            .names
            .keys()
            .filter(|name| name.parent() == Some(path));
        Ok(inside.cloned().collect())
    }
}

#[derive(Debug)]
struct Unlock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for Unlock {
    fn drop(&mut self) {
        self.disk.world().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl SimFile {
    fn make(&self, change: Change, is_down: bool) -> io::Result<()> {
        let mut world = self.disk.world();
        let file = &mut world.files[self.file];
        apply(&mut file.now, &change);
        file.unsynced.push(change);
        if is_down {
            return Err(io::Error::other("the power went"));
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let world = self.disk.world();
        world.check()?;
        Ok(world.files[self.file].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let world = self.disk.world();
        world.check()?;
        let content = &world.files[self.file].now;
        let from = usize::try_from(offset).unwrap().min(content.len());
        let size = buffer.len().min(content.len() - from);
        buffer[..size].copy_from_slice(&content[from..from + size]);
        Ok(size)
    }

    /// A crash or a full disk leaves the first part of the bytes.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let mut world = self.disk.world();
        world.check()?;
        if world.change().is_err() {
            drop(world);
            return self.make(Change::Write(at, bytes[..bytes.len() / 2].to_vec()), true);
        }
        let grows = (at + bytes.len()).saturating_sub(world.files[self.file].now.len()) as u64;
        if let Some(room) = world.room {
            if grows > room {
                let fits = bytes
                    .len()
                    .saturating_sub(usize::try_from(grows - room).unwrap());
                world.room = Some(0);
                drop(world);
                self.make(Change::Write(at, bytes[..fits].to_vec()), false)?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            world.room = Some(room - grows);
        }
        drop(world);
        self.make(Change::Write(at, bytes.to_vec()), false)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).unwrap();
        let mut world = self.disk.world();
        world.change()?;
        let now = world.files[self.file].now.len();
        if let Some(room) = world.room {
            let grows = size.saturating_sub(now) as u64;
            if grows > room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            world.room = Some(room - grows + now.saturating_sub(size) as u64);
        }
        drop(world);
        self.make(Change::Size(size), false)
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        if world.failing_syncs > 0 {
            world.failing_syncs -= 1;
            // As Linux does: the pages count as clean from now on, though they never reached the disk.
            world.files[self.file].unsynced.clear();
            return Err(io::Error::other("input/output error"));
        }
        let file = &mut world.files[self.file];
        for change in std::mem::take(&mut file.unsynced) {
            apply(&mut file.durable, &change);
        }
        Ok(())
    }
}
