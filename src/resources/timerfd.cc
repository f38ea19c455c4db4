#include "resources/timerfd.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "resources/clocks.h"

namespace cairn::resources {
namespace {

constexpr unsigned long kSetTicks = _IOW('T', 0, std::uint64_t);  // TFD_IOC_SET_TICKS, Linux 3.17

bool matches(const OpenFile& file) {
  return file.link == "anon_inode:[timerfd]";
}

Result<timespec> parse_time(const std::string& fdinfo, const char* name) {
  long long seconds = 0;
  long long nanoseconds = 0;
  const auto text = fdinfo_value(fdinfo, name);
  if (std::sscanf(text.c_str(), "(%lld, %lld)", &seconds, &nanoseconds) != 2)
    return refusal("read a timerfd's fdinfo");
  return timespec{seconds, static_cast<long>(nanoseconds)};
}

void set_time(image::TimeSpec& record, const timespec& time) {
  record.set_seconds(time.tv_sec);
  record.set_nanoseconds(time.tv_nsec);
}

bool is_zero(const timespec& time) {
  return time.tv_sec == 0 && time.tv_nsec == 0;
}

bool is_absolute_wall_clock(const image::TimerFd& record) {
  return (record.settime_flags() & TFD_TIMER_ABSTIME) &&
         (record.clock() == CLOCK_REALTIME || record.clock() == CLOCK_REALTIME_ALARM);
}

// A periodic timer that has expired stands still until it is asked, and does not tell when that
// was: asking it makes it go on, with all its expirations counted, as a read would.
Result<image::TimerFd> settled(int fd) {
  for (;;) {
    itimerspec ahead{};
    if (::timerfd_gettime(fd, &ahead) != 0) return os_failure("read a timerfd");
    CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(fd));
    CAIRN_ASSIGN(const auto left, parse_time(fdinfo, "it_value"));
    CAIRN_ASSIGN(const auto interval, parse_time(fdinfo, "it_interval"));
    if (is_zero(left) && !is_zero(interval) && !is_zero(ahead.it_value))
      continue;  // again, just now
    image::TimerFd record;
    record.set_clock(std::atoi(fdinfo_value(fdinfo, "clockid").c_str()));
    record.set_ticks(std::strtoull(fdinfo_value(fdinfo, "ticks").c_str(), nullptr, 10));
    record.set_settime_flags(static_cast<std::uint32_t>(
        std::strtoul(fdinfo_value(fdinfo, "settime flags").c_str(), nullptr, 8)));
    set_time(*record.mutable_state()->mutable_left(), left);
    set_time(*record.mutable_state()->mutable_interval(), interval);
    return record;
  }
}

// A clock was read before and after an action: near enough together to count as one moment, or we
// were put off in between and had better do it again.
class Moment {
 public:
  bool is_sharp(std::int64_t before, std::int64_t after) {
    constexpr std::int64_t kSharp = 60'000;  // ns
    return after - before <= kSharp || ++tries_ == kTries;
  }

 private:
  static constexpr int kTries = 20;
  int tries_ = 0;
};

// The guest's clock stood still since `then`, its timers did not: what they did meanwhile is
// undone.
void wind_back(image::TimerFd& record, std::int64_t passed) {
  auto& state = *record.mutable_state();
  std::int64_t left = nanoseconds(state.left());
  const std::int64_t interval = nanoseconds(state.interval());
  if (left == 0) return;
  left += passed;
  while (interval > 0 && left > interval && record.ticks() > 0) {
    left -= interval;
    record.set_ticks(record.ticks() - 1);
  }
  set_nanoseconds(*state.mutable_left(), left);
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_timerfd();
  Moment moment;
  std::int64_t before = 0;
  std::int64_t after = 0;
  do {
    before = now(CLOCK_MONOTONIC);
    CAIRN_ASSIGN(record, settled(file.copy.get()));
    after = now(CLOCK_MONOTONIC);
  } while (!moment.is_sharp(before, after));
  auto& left = *record.mutable_state()->mutable_left();
  if (is_absolute_wall_clock(record)) {  // a point in the world's time stays one
    if (nanoseconds(left) != 0) set_nanoseconds(left, nanoseconds(left) + now(CLOCK_REALTIME));
    return {};
  }
  const auto guest_now = before + (after - before) / 2 + context.runtime->monotonic_offset_ns;
  wind_back(record, guest_now - nanoseconds(context.image.clocks().monotonic()));
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  Fd fd(::timerfd_create(object.timerfd().clock(), TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd.valid()) return os_failure("make a timerfd");
  return fd;
}

// What was left of it when the guest's clock went on, at `resumed`, and what it would have done
// since.
void wind_on(image::TimerFd& record, std::int64_t passed) {
  auto& state = *record.mutable_state();
  const std::int64_t interval = nanoseconds(state.interval());
  std::int64_t left = nanoseconds(state.left()) - passed;
  if (interval > 0 && left <= 0) {
    const std::int64_t ticks = -left / interval + 1;
    record.set_ticks(record.ticks() + static_cast<std::uint64_t>(ticks));
    left += ticks * interval;
  }
  set_nanoseconds(*state.mutable_left(), std::max<std::int64_t>(left, 1));
}

Result<> set(int fd, const image::TimerFd& record) {
  std::int64_t left = nanoseconds(record.state().left());
  const std::int64_t interval = nanoseconds(record.state().interval());
  const int flags = static_cast<int>(record.settime_flags());
  if ((flags & TFD_TIMER_ABSTIME) && left != 0 && !is_absolute_wall_clock(record))
    left += now(record.clock());
  itimerspec setting{};
  setting.it_interval = {interval / kNanosecondsPerSecond, interval % kNanosecondsPerSecond};
  setting.it_value = {left / kNanosecondsPerSecond, left % kNanosecondsPerSecond};
  if (::timerfd_settime(fd, flags, &setting, nullptr) != 0) return os_failure("start a timerfd");
  const std::uint64_t ticks = record.ticks();
  if (ticks > 0 && ::ioctl(fd, kSetTicks, &ticks) != 0)
    return os_failure("set a timerfd's expirations");
  return {};
}

Result<> start(int fd, const image::TimerFd& saved, std::int64_t resumed) {
  const bool moves = nanoseconds(saved.state().left()) != 0 && !is_absolute_wall_clock(saved);
  Moment moment;
  for (;;) {
    image::TimerFd record = saved;
    const auto before = now(CLOCK_MONOTONIC);
    if (moves) wind_on(record, before - resumed);
    CAIRN_TRY(set(fd, record));
    if (!moves || moment.is_sharp(before, now(CLOCK_MONOTONIC))) return {};
  }
}

}  // namespace

Result<> start_timerfds(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (object.has_timerfd() && made != job.made.end())
      CAIRN_TRY(start(made->second.get(), object.timerfd(), job.moment.monotonic));
  }
  return {};
}

const Kind kTimerFdKind{
    "timerfd", image::KernelObject::kTimerfd, Maker::kAgent, matches, capture, create, nullptr};

}  // namespace cairn::resources
