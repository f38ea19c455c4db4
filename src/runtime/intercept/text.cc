// Finding the plan of a file whose text has just been mapped.
//
// The cache's file name is the build-id, so no look-up is needed beyond reading it. When the cache
// has none, the agent makes it while we wait, for a bounded time: the first run of a library pays
// once, and if the plan is late, trapped calls do until the next exec.

#include "runtime/intercept/text.h"

#include <elf.h>

#include "abi/patch_plan.h"
#include "abi/segment.h"
#include "runtime/host/job.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/patcher.h"
#include "runtime/intercept/site_map.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr int kMaxSegments = 64;
constexpr std::uint64_t kPlanWaitNs = 3'000'000'000;
std::uint32_t g_text_lock = 0;
bool g_static_program = false;

void lock_text() {
  while (__atomic_exchange_n(&g_text_lock, 1, __ATOMIC_ACQUIRE) != 0) asm volatile("pause");
}
void unlock_text() { __atomic_store_n(&g_text_lock, 0, __ATOMIC_RELEASE); }

struct TextFile {
  char key[abi::kPlanNameBytes];  // the plan's name in the cache
  std::uint64_t text_vaddr;  // what the mapped file offset is linked at
};

bool read_at(int fd, void* to, std::uint64_t bytes, std::uint64_t offset) {
  auto got = sys::call(__NR_pread64, static_cast<std::uint64_t>(fd), sys::address(to), bytes, offset);
  return got.ok() && got.value() == bytes;
}

void take_build_id(int fd, const Elf64_Phdr& segment, TextFile* file) {
  alignas(4) unsigned char notes[1024];
  std::uint64_t bytes = segment.p_filesz < sizeof(notes) ? segment.p_filesz : sizeof(notes);
  if (!read_at(fd, notes, bytes, segment.p_offset)) return;
  std::uint64_t at = 0;
  while (at + sizeof(Elf64_Nhdr) <= bytes) {
    auto* note = reinterpret_cast<const Elf64_Nhdr*>(notes + at);
    std::uint64_t name = at + sizeof(*note);
    std::uint64_t data = name + ((note->n_namesz + 3U) & ~3U);
    std::uint64_t next = data + ((note->n_descsz + 3U) & ~3U);
    if (next > bytes) return;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= 32 &&
        memcmp(notes + name, "GNU", 4) == 0) {
      abi::plan_name(file->key, notes + data, note->n_descsz);
      return;
    }
    at = next;
  }
}

struct FileStatus {
  std::uint64_t dev, ino, nlink;
  std::uint32_t mode, uid, gid, pad;
  std::uint64_t rdev, size, blksize, blocks, atime, atime_ns, mtime, mtime_ns, rest[5];
};

bool look_at(int fd, FileStatus* st) {
  return sys::call(__NR_fstat, static_cast<std::uint64_t>(fd), sys::address(st)).ok();
}

void take_identity(int fd, TextFile* file) {
  FileStatus st{};
  if (!look_at(fd, &st)) return;
  abi::plan_name(file->key, st.dev, st.ino, st.size, st.mtime, st.mtime_ns);
}

bool describe(int fd, std::uint64_t file_offset, TextFile* file) {
  Elf64_Ehdr header;
  Elf64_Phdr segments[kMaxSegments];
  file->key[0] = 0;
  if (!read_at(fd, &header, sizeof(header), 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return false;
  if (header.e_phnum > kMaxSegments || header.e_phentsize != sizeof(Elf64_Phdr)) return false;
  if (!read_at(fd, segments, header.e_phnum * sizeof(Elf64_Phdr), header.e_phoff)) return false;
  bool found = false;
  for (int i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr& s = segments[i];
    if (s.p_type == PT_NOTE && file->key[0] == 0) take_build_id(fd, s, file);
    std::uint64_t start = s.p_offset & ~4095ULL;
    if (s.p_type != PT_LOAD || (s.p_flags & PF_X) == 0) continue;
    if (file_offset < start || file_offset >= s.p_offset + s.p_filesz) continue;
    file->text_vaddr = s.p_vaddr - s.p_offset + file_offset;
    found = true;
  }
  if (found && file->key[0] == 0) take_identity(fd, file);
  return found && file->key[0] != 0;
}

// A plan says which bytes of the program are overwritten: only one that this user or root has
// written, and nobody else can change, is taken. Whose the directory is does not matter then.
bool is_trusted(int fd) {
  constexpr std::uint32_t kOthersMayWrite = 022;
  FileStatus st{};
  if (!look_at(fd, &st) || (st.mode & kOthersMayWrite) != 0) return false;
  return st.uid == 0 || st.uid == static_cast<std::uint32_t>(sys::call(__NR_geteuid).raw);
}

sys::SysResult open_plan(const char* key) {
  char path[4096 + 96];
  const char* cache = abi::job_segment()->plan_cache;
  append(append(append(path, cache), "/"), key);
  auto fd = sys::call(__NR_open, sys::address(path), 0xa0000);  // O_RDONLY|O_NOFOLLOW|O_CLOEXEC
  if (!fd.ok() || is_trusted(static_cast<int>(fd.value()))) return fd;
  (void)sys::call(__NR_close, fd.value());
  return {-kEACCES};
}

abi::PlanRequest* claim_request(abi::JobSegment* job) {
  for (abi::PlanRequest& request : job->plans) {
    auto idle = static_cast<std::uint32_t>(abi::PlanState::kIdle);
    if (request.state.compare_exchange_strong(idle, static_cast<std::uint32_t>(abi::PlanState::kFilling)))
      return &request;
  }
  return nullptr;
}

// Asks the agent for the plan and waits until it says so or the time is up.
void ask_for_plan(int fd) {
  abi::JobSegment* job = abi::job_segment();
  if (job->agent_pid.load() == 0) return;
  abi::PlanRequest* request = claim_request(job);
  if (request == nullptr) return;
  char link[64];
  append_decimal(append(link, "/proc/thread-self/fd/"), fd);
  auto length = sys::call(__NR_readlink, sys::address(link), sys::address(request->path),
                          sizeof(request->path) - 1);
  if (!length.ok()) return request->state.store(static_cast<std::uint32_t>(abi::PlanState::kIdle));
  request->path[length.value()] = 0;
  request->state.store(static_cast<std::uint32_t>(abi::PlanState::kWanted));
  job->agent_wakeup.fetch_add(1);
  (void)sys::call(__NR_futex, sys::address(&job->agent_wakeup), 1, 0x7fffffff);
  Timespec patience{static_cast<std::int64_t>(kPlanWaitNs / 1'000'000'000), 0};
  auto wanted = static_cast<std::uint32_t>(abi::PlanState::kWanted);
  while (request->state.load() == wanted) {
    auto waited = sys::call(__NR_futex, sys::address(&request->state), 0, wanted, sys::address(&patience));
    if (!waited.ok() && waited.error() == kETIMEDOUT) break;
  }
  request->state.store(static_cast<std::uint32_t>(abi::PlanState::kIdle));
}

// False: the file is no plan that this runtime understands (cut short, or of an older version).
bool apply(int plan_fd, std::uint64_t start, std::uint64_t end, std::uint64_t bias, int prot) {
  std::uint64_t bytes = sys::call(__NR_lseek, static_cast<std::uint64_t>(plan_fd), 0, 2).value();
  auto mapped = map_host(bytes);
  if (!mapped.ok()) return true;
  bool usable = false;
  auto* plan = reinterpret_cast<const abi::PlanHeader*>(mapped.value());
  StubBlockInfo block{};
  if (read_at(plan_fd, reinterpret_cast<void*>(mapped.value()), bytes, 0)) {
    auto trampolines =
        door_mode() == abi::DoorMode::kPatchOnly ? Trampolines::kPatch : Trampolines::kKeep;
    auto applied = apply_plan(plan, bytes, bias, start, end, prot, &block, trampolines);
    usable = applied.ok() || applied.error() != kEINVAL;
    if (usable) hide_cpuid(plan, bias, start, end, prot);
    if (applied.ok() && block.address != 0 && !register_block(block.address).ok())
      die("too many patched libraries in one process");
  }
  unmap_host(mapped.value(), bytes);
  return usable;
}

// False: there is no plan, or none that is usable.
bool apply_cached(const TextFile& file, std::uint64_t start, std::uint64_t end, int prot) {
  auto plan = open_plan(file.key);
  if (!plan.ok()) return false;
  lock_text();
  bool usable = apply(static_cast<int>(plan.value()), start, end, start - file.text_vaddr, prot);
  unlock_text();
  (void)sys::call(__NR_close, plan.value());
  return usable;
}

}  // namespace

void text_mapped(int fd, std::uint64_t start, std::uint64_t end, std::uint64_t file_offset, int prot) {
  if (!job_attached()) return;
  if (door_mode() == abi::DoorMode::kDispatch) return note_unknown_text();
  TextFile file{};
  if (!describe(fd, file_offset, &file)) return note_unknown_text();
  if (apply_cached(file, start, end, prot)) return;
  ask_for_plan(fd);
  if (!apply_cached(file, start, end, prot)) note_unknown_text();
}

void set_static_program(bool is_static) { g_static_program = is_static; }
bool static_program() { return g_static_program; }

void text_gone(std::uint64_t start, std::uint64_t end) {
  std::uint64_t any = 0;
  if (list_blocks(&any, 1) == 0) return;
  OrphanedBlock orphans[16];
  lock_text();
  for (bool more = true; more;) {
    std::uint32_t count = 0;
    more = forget_text(start, end, orphans, 16, &count);
    for (std::uint32_t i = 0; i < count; ++i)
      (void)sys::call(__NR_munmap, orphans[i].address, orphans[i].bytes);
  }
  unlock_text();
}

void text_lock_after_fork() { unlock_text(); }

std::uint32_t list_stub_blocks(std::uint64_t* out, std::uint32_t room) { return list_blocks(out, room); }

void adopt_stub_block(std::uint64_t address) {
  auto adopted = register_block(address);
  if (!adopted.ok()) die("a stub block of the image is damaged; error", adopted.raw);
}

}  // namespace cairn::runtime
