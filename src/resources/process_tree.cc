#include "resources/process_tree.h"

#include <signal.h>

#include <algorithm>
#include <set>
#include <string>

namespace cairn::resources {
namespace {

using Kind = TreeStep::Kind;
using Id = std::int32_t;

constexpr int kOutside = -1;  // the parent of what nobody of the job is the parent of
constexpr Id kAny = 0;        // a session: whichever

struct Node {
  Id pid, group, session;
  int parent = kOutside;
  std::int32_t exit_signal = SIGCHLD;
  bool ended = false;
  std::vector<int> children;
  bool asked = false;  // where it was born
  Id born = kAny;      // the session that it was forked in
  bool built = false;
};

// A process is built at its place in the list of steps: what it does before setsid, setsid, the
// rest.
class Planner {
 public:
  Planner(const std::vector<image::ProcessImage>& processes, const TreeOrigin& origin);
  Result<TreePlan> plan();

 private:
  [[nodiscard]] bool leads(int i) const {
    return nodes_[at(i)].session == nodes_[at(i)].pid && nodes_[at(i)].session != origin_.session;
  }
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  Id born_in(int i);
  [[nodiscard]] bool natural(int i);
  [[nodiscard]] Id initial_group(int i) const;
  void sort_orphans();

  void step(Kind kind, int actor, int other, std::int32_t exit_signal = 0) {
    plan_.steps.push_back({kind, actor, other, exit_signal});
  }
  int helper(int parent);
  void fork(int parent, int i, std::int32_t exit_signal);
  Result<> build(int i);
  Result<> children(int i, bool before_session);
  Result<> adopted(Id session, int creator);
  Result<> sessions_without_leader(int creator);
  Result<> groups();
  [[nodiscard]] bool is_below(int actor, int ancestor) const;
  [[nodiscard]] int depth(int i) const;
  [[nodiscard]] Failure impossible(int i) const {
    return refusal("the place of process " + std::to_string(nodes_[at(i)].pid) +
                   " in the tree of processes cannot be made again");
  }

  std::vector<Node> nodes_;
  TreeOrigin origin_;
  TreePlan plan_;
  int first_ = kOutside;                          // the job's first process, if it lives
  std::vector<int> actor_parents_;                // of actors, as they are forked
  std::map<Id, std::vector<int>> orphans_;        // by the session that they are born in
  std::map<int, std::vector<Id>> lost_sessions_;  // by the actor that begins them
};

Planner::Planner(const std::vector<image::ProcessImage>& processes, const TreeOrigin& origin)
    : origin_(origin) {
  std::map<Id, int> by_pid;
  for (const auto& process : processes) {
    const int index = static_cast<int>(nodes_.size());
    by_pid[process.pid()] = index;
    Node node{.pid = process.pid(), .group = process.pgid(), .session = process.sid()};
    node.ended = process.zombie();
    if (process.has_exit_signal()) node.exit_signal = process.exit_signal();
    if (process.first_of_job()) first_ = index;
    nodes_.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < processes.size(); ++i) {
    const auto parent = by_pid.find(processes[i].ppid());
    if (parent == by_pid.end() || static_cast<int>(i) == first_) continue;
    nodes_[i].parent = parent->second;
    nodes_[at(parent->second)].children.push_back(static_cast<int>(i));
  }
  plan_.starter = first_ != kOutside ? first_ : static_cast<int>(nodes_.size());
  plan_.actors = std::max(static_cast<int>(nodes_.size()), plan_.starter + 1);
  actor_parents_.assign(at(plan_.actors), kOutside);
}

// Bottom up: the leader of a session has a child from before only if it was in another one then.
Id Planner::born_in(int i) {
  Node& node = nodes_[at(i)];
  if (node.asked) return node.born;
  node.asked = true;
  if (i == first_) return node.born = origin_.session;
  if (!leads(i)) return node.born = node.session;
  for (const int child : node.children)
    if (const Id born = born_in(child); born != kAny && born != node.session && node.born == kAny)
      node.born = born;
  if (node.born == kAny && node.parent == kOutside) node.born = origin_.session;
  return node.born;
}

bool Planner::natural(int i) {
  const int parent = nodes_[at(i)].parent;
  if (parent == kOutside) return false;
  const Id born = born_in(i);
  return born == kAny || born == nodes_[at(parent)].session || born == born_in(parent);
}

int Planner::depth(int i) const {
  int depth = 0;
  for (; i != kOutside && depth <= static_cast<int>(nodes_.size()); ++depth)
    i = nodes_[at(i)].parent;
  return depth;
}

bool Planner::is_below(int actor, int ancestor) const {
  for (actor = actor_parents_[at(actor)]; actor != kOutside; actor = actor_parents_[at(actor)])
    if (actor == ancestor) return true;
  return false;
}

// Who is not forked by its parent, and where sessions that nobody leads any more are begun: below
// all that adopt their members.
void Planner::sort_orphans() {
  std::set<Id> led{origin_.session};
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i)
    if (leads(i)) led.insert(nodes_[at(i)].session);
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i)
    if (i != first_ && !natural(i)) orphans_[born_in(i)].push_back(i);
  for (const auto& [session, orphans] : orphans_) {
    if (led.contains(session)) continue;
    const int deepest = *std::max_element(orphans.begin(), orphans.end(), [&](int a, int b) {
      return depth(nodes_[at(a)].parent) < depth(nodes_[at(b)].parent);
    });
    const int adopter = nodes_[at(deepest)].parent;
    lost_sessions_[adopter == kOutside ? plan_.starter : adopter].push_back(session);
  }
}

int Planner::helper(int parent) {
  const int actor = plan_.actors++;
  actor_parents_.push_back(parent);
  step(Kind::kFork, parent, actor);
  return actor;
}

void Planner::fork(int parent, int i, std::int32_t exit_signal) {
  actor_parents_[at(i)] = parent;
  step(Kind::kFork, parent, i, exit_signal);
}

Result<> Planner::children(int i, bool before_session) {
  for (const int child : nodes_[at(i)].children) {
    if (!natural(child)) continue;
    const Id born = born_in(child);
    const bool before = leads(i) && born != kAny && born != nodes_[at(i)].session;
    if (before != before_session) continue;
    fork(i, child, nodes_[at(child)].exit_signal);
    CAIRN_TRY(build(child));
  }
  return {};
}

Result<> Planner::build(int i) {
  const bool saved = i < static_cast<int>(nodes_.size());
  if (saved && nodes_[at(i)].built) return impossible(i);
  if (saved) nodes_[at(i)].built = true;
  if (saved) CAIRN_TRY(children(i, true));
  if (i == plan_.starter) CAIRN_TRY(adopted(origin_.session, i));
  if (saved && leads(i)) step(Kind::kSession, i, i);
  if (saved) CAIRN_TRY(children(i, false));
  if (saved && leads(i)) CAIRN_TRY(adopted(nodes_[at(i)].session, i));
  return sessions_without_leader(i);
}

// `creator` is in that session.
Result<> Planner::adopted(Id session, int creator) {
  for (const int orphan : orphans_[session]) {
    const int adopter = nodes_[at(orphan)].parent;
    if (adopter != kOutside && !is_below(creator, adopter)) return impossible(orphan);
    const int between = helper(creator);
    fork(between, orphan, SIGCHLD);
    CAIRN_TRY(build(orphan));
    if (adopter != kOutside) step(Kind::kAdopt, adopter, adopter);
    step(Kind::kEnd, between, creator);
    if (adopter != kOutside) step(Kind::kRelease, adopter, adopter);
    actor_parents_[at(orphan)] = adopter;
  }
  return {};
}

Result<> Planner::sessions_without_leader(int creator) {
  for (const Id session : lost_sessions_[creator]) {
    const int leader = helper(creator);
    step(Kind::kSession, leader, leader);
    plan_.stands[session] = leader;
    CAIRN_TRY(adopted(session, leader));
    step(Kind::kEnd, leader, creator);
  }
  return {};
}

Id Planner::initial_group(int i) const {
  const Id session = nodes_[at(i)].session;
  return session == origin_.session ? origin_.group : session;
}

Result<> Planner::groups() {
  std::map<std::pair<Id, Id>, std::vector<int>> members;
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i)
    if (nodes_[at(i)].group != initial_group(i))
      members[{nodes_[at(i)].session, nodes_[at(i)].group}].push_back(i);
  for (const auto& [group, processes] : members) {
    const auto leader = std::find_if(processes.begin(), processes.end(),
                                     [&](int i) { return nodes_[at(i)].pid == group.second; });
    const bool led = leader != processes.end();
    const int stand = led ? *leader : helper(processes.front());
    step(Kind::kGroup, stand, stand);
    for (const int i : processes)
      if (i != stand) step(Kind::kGroup, i, stand);
    if (led) continue;
    plan_.stands[group.second] = stand;
    step(Kind::kEnd, stand, processes.front());
  }
  return {};
}

Result<TreePlan> Planner::plan() {
  sort_orphans();
  CAIRN_TRY(build(plan_.starter));
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    const Node& node = nodes_[at(i)];
    if (!node.built || (node.ended && !node.children.empty())) return impossible(i);
  }
  CAIRN_TRY(groups());
  return std::move(plan_);
}

}  // namespace

void order_processes(std::vector<image::ProcessImage>& processes) {
  const auto place = [](const image::ProcessImage& process) {
    return process.first_of_job() ? 0 : process.zombie() ? 2 : 1;
  };
  std::stable_sort(processes.begin(), processes.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
}

Result<TreePlan> plan_tree(const std::vector<image::ProcessImage>& processes,
                           const TreeOrigin& origin) {
  return Planner(processes, origin).plan();
}

}  // namespace cairn::resources
