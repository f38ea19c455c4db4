// What the guest reads in a process's directory of /proc: its own ids, masks and times.
//
// The file is opened as it is. If its text is to be another one for the guest, a file in memory
// takes its place, under the same number, and is filled again when the guest goes back to its
// beginning. docs/decisions/0010-proc-files.md says why.

#include "runtime/handlers/proc_text.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/host/clocks.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kTextRoom = 64 << 10;
constexpr std::uint64_t kOCloexec = 0x80000, kORdwr = 2;

// Of this file's own: the address of another file's function would go through a GOT, and there is
// none.
using Translation = std::int32_t (*)(std::int32_t);
std::int32_t as_id(std::int32_t real) {
  return to_virtual(real);
}
std::int32_t as_group(std::int32_t real) {
  return to_virtual_group(real);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Copies the kernel's text to the guest's, piece by piece.
class Text {
 public:
  Text(const char* in, char* out, char* out_end) : at_(in), out_(out), out_end_(out_end) {}

  [[nodiscard]] bool more() const { return *at_ != 0 && out_end_ - out_ > 256; }
  [[nodiscard]] const char* at() const { return at_; }
  [[nodiscard]] char* out() const { return out_; }
  [[nodiscard]] bool starts(const char* prefix) const { return starts_with(at_, prefix); }
  void copy(const char* up_to) {
    while (at_ != up_to && more()) *out_++ = *at_++;
  }
  void copy_line() {
    while (*at_ != 0 && *at_ != '\n' && more()) *out_++ = *at_++;
    if (*at_ == '\n') *out_++ = *at_++;
  }
  void copy_until_digit() {
    while (*at_ != 0 && *at_ != '\n' && !is_digit(*at_) && more()) *out_++ = *at_++;
  }
  // The number here, which is stepped over.
  std::int64_t take_number() {
    bool negative = *at_ == '-';
    if (negative) ++at_;
    std::uint64_t value = 0;
    while (is_digit(*at_)) value = value * 10 + static_cast<std::uint64_t>(*at_++ - '0');
    auto number = static_cast<std::int64_t>(value);
    return negative ? -number : number;
  }
  std::uint64_t take_hex() {
    std::uint64_t value = 0;
    for (;; ++at_) {
      if (is_digit(*at_))
        value = value * 16 + static_cast<std::uint64_t>(*at_ - '0');
      else if (*at_ >= 'a' && *at_ <= 'f')
        value = value * 16 + static_cast<std::uint64_t>(*at_ - 'a' + 10);
      else
        return value;
    }
  }
  void put_number(std::int64_t value) { out_ = append_decimal(out_, value); }
  void put_mask(std::uint64_t value) {
    for (int shift = 60; shift >= 0; shift -= 4)
      *out_++ = "0123456789abcdef"[(value >> shift) & 15];
  }
  void translate_number(Translation translation) {
    put_number(translation(static_cast<std::int32_t>(take_number())));
  }
  // The rest of a "name: value" line, whose first number is an id.
  void translate_line(Translation translation) {
    copy_until_digit();
    if (is_digit(*at_)) translate_number(translation);
    copy_line();
  }

 private:
  const char* at_;
  char* out_;
  char* out_end_;
};

// The signals of one thread as the guest sees them, from what the kernel shows.
struct Signals {
  ThreadBlock* thread;  // nullptr: it has ended
  Sighand* hand;

  // The kernel never has the host's signals blocked while guest code runs or waits: if it has, the
  // thread is inside of the host, and the guest's mask is the one that counts.
  [[nodiscard]] std::uint64_t blocked(std::uint64_t kernel) const {
    if (thread == nullptr) return kernel;
    if ((kernel & kHostSignals) == kHostSignals) return thread->guest_mask;
    std::uint64_t mask = thread->has_wait_mask != 0 ? thread->wait_mask : thread->guest_mask;
    return (kernel & ~kHostSignals) | (mask & kHostSignals);
  }
  [[nodiscard]] std::uint64_t pending(std::uint64_t kernel) const {
    return thread == nullptr ? kernel : kernel | held_signals(thread, ~0ULL);
  }
  [[nodiscard]] std::uint64_t with_handler(bool ignored) const {
    std::uint64_t mask = 0;
    for (int signal = 1; signal <= 64; ++signal) {
      std::uint64_t handler = read_action(hand, signal).handler;
      bool counts = ignored ? handler == kSigIgn : handler != kSigIgn && handler != kSigDfl;
      if (counts) mask |= signal_bit(signal);
    }
    return mask;
  }
};

void mask_line(Text* text, const Signals& signals) {
  bool blocked = text->starts("SigBlk"), pending = text->starts("SigPnd");
  bool ignored = text->starts("SigIgn"), caught = text->starts("SigCgt");
  if (!blocked && !pending && !ignored && !caught) return text->copy_line();
  text->copy(text->at() + 8);  // "SigBlk:\t"
  std::uint64_t kernel = text->take_hex();
  text->put_mask(blocked   ? signals.blocked(kernel)
                 : pending ? signals.pending(kernel)
                           : signals.with_handler(ignored));
  text->copy_line();
}

// The filter of the seccomp fallback is ours; one more would be the guest's.
void filter_line(Text* text, bool only_ours) {
  text->copy_until_digit();
  std::int64_t value = text->take_number();
  text->put_number(only_ours ? 0 : value);
  text->copy_line();
}

bool has_one_filter(const char* status) {
  for (const char* at = status; *at != 0; ++at)
    if (starts_with(at, "\nSeccomp_filters:\t"))
      return string_length(at) > 19 && at[18] == '1' && at[19] == '\n';
  return false;
}

void translate_status(Text* text, const Signals* own) {
  bool only_ours = own != nullptr && seccomp_installed() && has_one_filter(text->at());
  while (text->more()) {
    bool id = text->starts("Tgid:") || text->starts("Pid:") || text->starts("PPid:") ||
              text->starts("TracerPid:") || text->starts("NStgid:") || text->starts("NSpid:");
    if (id)
      text->translate_line(as_id);
    else if (text->starts("NSpgid:") || text->starts("NSsid:"))
      text->translate_line(as_group);
    else if (own != nullptr && text->starts("Sig"))
      mask_line(text, *own);
    else if (own != nullptr && text->starts("Seccomp"))
      filter_line(text, only_ours);
    else
      text->copy_line();
  }
}

// The times of a process's own stat after a restart; of a thread's the clocks go on, its ticks
// begin anew.
struct Times {
  bool known;
  CpuTicks ticks;
  std::int64_t start;
};

Times times_of(const ThreadBlock* t, const ProcName& name) {
  if (t->process != &g_process || g_clocks.start_ticks == 0) return {};
  bool first = name.task == t->process->real_pid;
  if (name.task != 0) return {false, {}, first ? g_clocks.start_ticks : 0};
  return {true, cpu_ticks(), g_clocks.start_ticks};
}

// The guest's value of a field of proc_pid_stat(5), counted from 1.
std::int64_t stat_field(int field, std::int64_t value, const Signals* own, const Times& times) {
  constexpr std::uint64_t kShown = 0x7fffffff;  // 31 signals: of the host's only SIGSYS could show
  auto id = static_cast<std::int32_t>(value);
  auto mask = [](std::uint64_t signals) { return static_cast<std::int64_t>(signals & kShown); };
  bool blocked_known = own != nullptr && own->thread != nullptr;
  switch (field) {
    case 4:
      return to_virtual(id);
    case 5:
    case 6:
    case 8:
      return to_virtual_group(id);  // -1 and 0: none
    case 14:
      return times.known ? times.ticks.user : value;
    case 15:
      return times.known ? times.ticks.system : value;
    case 16:
      return times.known ? times.ticks.children_user : value;
    case 17:
      return times.known ? times.ticks.children_system : value;
    case 22:
      return times.start != 0 ? times.start : value;
    case 31:
      return own != nullptr ? mask(own->pending(static_cast<std::uint64_t>(value))) : value;
    case 32:
      return blocked_known ? mask(own->thread->guest_mask) : value;
    case 33:
    case 34:
      return own != nullptr ? mask(own->with_handler(field == 33)) : value;
    default:
      return value;
  }
}

bool stat_field_differs(int field) {
  return (field >= 4 && field <= 6) || field == 8 || (field >= 14 && field <= 17) || field == 22 ||
         (field >= 31 && field <= 34);
}

// The second field is the name, in parentheses.
void translate_stat(Text* text, const Signals* own, const Times& times) {
  const char* name_end = text->at();
  for (const char* at = text->at(); *at != 0; ++at)
    if (*at == ')') name_end = at;
  text->translate_number(as_id);
  text->copy(name_end);
  for (int field = 2; text->more(); ++field) {
    if (stat_field_differs(field))
      text->put_number(stat_field(field, text->take_number(), own, times));
    const char* at = text->at();
    while (*at != 0 && *at != ' ' && *at != '\n') ++at;
    text->copy(*at != 0 ? at + 1 : at);
  }
}

void translate_children(Text* text) {
  while (text->more()) {
    text->copy_until_digit();
    if (!is_digit(*text->at())) return text->copy_line();
    text->translate_number(as_id);
  }
}

// "notify: signal/pid.4711", "ClockID: -38"
void translate_timers(Text* text) {
  while (text->more()) {
    if (text->starts("notify:")) {
      text->translate_line(as_id);
    } else if (text->starts("ClockID: ")) {
      text->copy(text->at() + 9);
      text->put_number(virtual_clock(static_cast<std::int32_t>(text->take_number())));
      text->copy_line();
    } else {
      text->copy_line();
    }
  }
}

// "name (4711, #threads: 1)" heads the file; the name may hold anything.
void translate_sched(Text* text) {
  const char* mark = nullptr;
  for (const char* at = text->at(); *at != 0 && *at != '\n'; ++at)
    if (starts_with(at, ", #threads:")) mark = at;
  if (mark != nullptr) {
    while (mark != text->at() && is_digit(mark[-1])) --mark;
    text->copy(mark);
    text->translate_number(as_id);
  }
  while (text->more()) text->copy_line();
}

// A pidfd's "Pid:" and "NSpid:", and the owners of locks:
// "lock:\t1: POSIX  ADVISORY  WRITE 4711 00:1d:12345 0 EOF"
void translate_fdinfo(Text* text) {
  while (text->more()) {
    if (text->starts("Pid:") || text->starts("NSpid:")) {
      text->translate_line(as_id);
    } else if (text->starts("lock:")) {
      const char* at = text->at() + 5;
      for (int word = 0; word < 4; ++word) {
        while (*at == ' ' || *at == '\t') ++at;
        while (*at != ' ' && *at != '\n' && *at != 0) ++at;
      }
      text->copy(at);
      text->translate_line(as_id);
    } else {
      text->copy_line();
    }
  }
}

// The guest's text for the kernel's; its length.
std::uint64_t translate(ThreadBlock* t, const ProcName& name, const char* in, char* out) {
  Text text(in, out, out + kTextRoom);
  bool own = names_own_process(t, name);
  Signals signals{own ? named_thread(t, name) : nullptr, t->sighand};
  const Signals* mine = own ? &signals : nullptr;
  if (string_equal(name.entry, "status"))
    translate_status(&text, mine);
  else if (string_equal(name.entry, "stat"))
    translate_stat(&text, mine, own ? times_of(t, name) : Times{});
  else if (string_equal(name.entry, "children"))
    translate_children(&text);
  else if (string_equal(name.entry, "timers"))
    translate_timers(&text);
  else if (string_equal(name.entry, "sched"))
    translate_sched(&text);
  else
    translate_fdinfo(&text);
  return static_cast<std::uint64_t>(text.out() - out);
}

// The kernel's text and the guest's side by side, for the time of one call.
class Buffers {
 public:
  Buffers() {
    auto at = map_host(2 * kTextRoom);
    address_ = at.ok() ? at.value() : 0;
  }
  ~Buffers() {
    if (address_ != 0) unmap_host(address_, 2 * kTextRoom);
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  [[nodiscard]] bool ok() const { return address_ != 0; }
  [[nodiscard]] char* in() const { return reinterpret_cast<char*>(address_); }
  [[nodiscard]] char* out() const { return in() + kTextRoom; }

  // False: it cannot be read, or does not fit.
  bool read(std::uint64_t fd) {
    length = 0;
    for (;;) {
      auto got = sys::call(__NR_read, fd, address_ + length, kTextRoom - 512 - length);
      if (!got.ok() || length + got.value() >= kTextRoom - 512) return false;
      if (got.value() == 0) break;
      length += got.value();
    }
    in()[length] = 0;
    return true;
  }
  std::uint64_t length = 0;

 private:
  std::uint64_t address_ = 0;
};

void name_stand_in(const ThreadBlock* t, const ProcName& name, char* out, std::uint64_t room) {
  char* at = append_decimal(append(out, "cairn:/proc/"), names_own_process(t, name)
                                                             ? t->process->virtual_pid
                                                             : to_virtual(name.process));
  if (name.task != 0) at = append_decimal(append(at, "/task/"), to_virtual(name.task));
  string_copy(append(at, "/"), room - static_cast<std::uint64_t>(at - out) - 1, name.entry);
}

std::int64_t write_stand_in(const char* file_name, const char* text, std::uint64_t bytes) {
  auto fd = sys::call(__NR_memfd_create, sys::address(file_name), 1 /* MFD_CLOEXEC */);
  if (!fd.ok()) return fd.raw;
  auto put = sys::call(__NR_write, fd.value(), sys::address(text), bytes);
  char link[48];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int64_t>(fd.value()));
  // Open for reading only, as the guest has asked for it.
  auto reader = sys::call(__NR_open, sys::address(link), kOCloexec);
  (void)sys::call(__NR_close, fd.value());
  if (put.ok() && put.value() == bytes) return reader.raw;
  if (reader.ok()) (void)sys::call(__NR_close, reader.value());
  return -kENOMEM;
}

// ---- going back to the beginning: what is read from there is to be the text of now
// -------------------

// Puts the text of now into the file behind `fd`; the path is the guest's. Of a process that is
// gone there is none: -ESRCH, as its own file would say.
std::int64_t fill_again(ThreadBlock* t, std::uint64_t fd, const char* path) {
  ProcName name;
  if (!parse_proc_name(t, path, t->path_argument[0], &name)) return 0;
  auto source = sys::call(__NR_open, sys::address(t->path_argument[0]), kOCloexec);
  bool gone = source.raw == -kENOENT || source.raw == -kESRCH;
  if (!source.ok() && !gone) return 0;
  Buffers buffers;
  bool readable = !gone && buffers.ok() && buffers.read(source.value());
  if (!gone) (void)sys::call(__NR_close, source.value());
  if (!gone && !readable) return 0;
  std::uint64_t bytes = gone ? 0 : translate(t, name, buffers.in(), buffers.out());
  char link[48];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int64_t>(fd));
  auto writer = sys::call(__NR_open, sys::address(link), kORdwr | kOCloexec);
  if (writer.ok()) {
    (void)sys::call(__NR_pwrite64, writer.value(), sys::address(buffers.out()), bytes, 0);
    (void)sys::call(__NR_ftruncate, writer.value(), bytes);
    (void)sys::call(__NR_close, writer.value());
  }
  return gone ? -kESRCH : 0;
}

std::int64_t fill_again_if_stand_in(ThreadBlock* t) {
  char link[48];
  char target[300];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(t->rdi));
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(target), sizeof(target) - 1);
  const char* path = nullptr;
  if (!length.ok()) return 0;
  std::int64_t path_length = stands_in_for(target, length.value(), &path);
  if (path_length < 0) return 0;
  target[path + path_length - target] = 0;
  return fill_again(t, t->rdi, path);
}

Action lseek(ThreadBlock* t) {
  // A process that is gone is told to who reads: what is left is empty.
  if (t->rsi == 0 && (t->rdx & 0xffffffff) == 0) (void)fill_again_if_stand_in(t);
  return lower(t);
}

Action pread64(ThreadBlock* t) {
  std::int64_t failed = t->r10 == 0 ? fill_again_if_stand_in(t) : 0;
  return failed != 0 ? done(t, failed) : lower(t);
}

}  // namespace

std::int64_t stands_in_for(const char* link, std::uint64_t length, const char** path) {
  constexpr std::uint64_t kHead = sizeof("/memfd:cairn:") - 1, kTail = sizeof(" (deleted)") - 1;
  if (length < kHead + kTail || memcmp(link, kStandInLink, sizeof(kStandInLink) - 1) != 0)
    return -1;
  *path = link + kHead;
  return static_cast<std::int64_t>(length - kHead - kTail);
}

bool text_may_differ(ThreadBlock* t, const ProcName& name) {
  if (name.entry[0] == 0) return false;
  bool common = string_equal(name.entry, "status") || string_equal(name.entry, "stat");
  if (!ids_shifted()) return common && names_own_process(t, name);
  return common || string_equal(name.entry, "children") || string_equal(name.entry, "timers") ||
         string_equal(name.entry, "sched") || starts_with(name.entry, "fdinfo/");
}

std::int64_t stand_in_for(ThreadBlock* t, int fd, const ProcName& name, bool close_on_exec) {
  auto opened = static_cast<std::uint64_t>(fd);
  Buffers buffers;
  bool readable = buffers.ok() && buffers.read(opened);
  (void)sys::call(__NR_lseek, opened, 0, 0);
  if (!readable) return fd;
  std::uint64_t bytes = translate(t, name, buffers.in(), buffers.out());
  if (bytes == buffers.length && memcmp(buffers.in(), buffers.out(), bytes) == 0) return fd;
  char file_name[240];
  name_stand_in(t, name, file_name, sizeof(file_name));
  std::int64_t reader = write_stand_in(file_name, buffers.out(), bytes);
  if (reader < 0) return fd;  // no descriptor is left: the kernel's own text has to do
  auto placed = sys::call(__NR_dup3, static_cast<std::uint64_t>(reader), opened,
                          close_on_exec ? kOCloexec : 0);
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(reader));
  if (placed.ok()) arm_above(kStandInHandlers);
  return fd;
}

const HandlerRow kStandInHandlers[] = {{__NR_lseek, lseek}, {__NR_pread64, pread64}, {0, nullptr}};

}  // namespace cairn::runtime
