#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include "base/exit_code.h"

namespace cairn::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: that of PROGRAM for run and restart, else\n"
    "  0    done\n"
    "  120  the command line is wrong\n"
    "  121  refused, nothing was done: no such job, it still runs, this machine does not fit\n"
    "  122  a generation is missing or damaged\n"
    "  123  tried and failed; the job goes on, or was not restarted\n"
    "  124  not done in time; the job goes on\n"
    "  125  Cairn itself could not work\n"
    "  126  PROGRAM cannot be run\n"
    "  127  there is no such PROGRAM\n";

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& description,
                   CommonOptions& common) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->add_option("--dir", common.dir, "The job's directory (run: else ./cairn-NAME)")
      ->envname("CAIRN_DIR")
      ->type_name("DIR");
  verb->add_flag("--json", common.json, "Print results as JSON")->envname("CAIRN_JSON");
  return verb;
}

void add_job_options(CLI::App* verb, JobOptions& job) {
  verb->add_option("--interval", job.interval, "Checkpoint every 30s, 10m, 1h ...")
      ->envname("CAIRN_INTERVAL")
      ->type_name("TIME");
  verb->add_option("--name", job.name, "The job's name (default: that of the program)")
      ->envname("CAIRN_NAME");
  verb->add_option("--mode", job.mode, "How system calls are caught: auto, dispatch, seccomp, patch")
      ->envname("CAIRN_MODE");
  verb->add_option("--files", job.files,
                   "Files that change after a checkpoint: auto (bring back what the job wrote), "
                   "save (everything by content), none")
      ->envname("CAIRN_FILES");
  verb->add_option("--keep", job.keep, "Keep only the newest N generations (default: all)")
      ->envname("CAIRN_KEEP")
      ->type_name("N");
}

void add_job_word(CLI::App* verb, std::string& word) {
  verb->add_option("JOB", word, "Name or id of a running job (default: the only one)");
}

void add_generation_word(CLI::App* verb, std::string& word, const std::string& description) {
  verb->add_option("DIR", word, description);
}

CLI::App* add_run(CLI::App& app, CommandLine& all) {
  CLI::App* verb = add_verb(app, "run", "Run PROGRAM so that it can be checkpointed", all.run.common);
  // For the help text: the program and its arguments are cut off before the options are parsed.
  verb->add_option("PROGRAM", all.run.command, "The program and its arguments");
  add_job_options(verb, all.run.job);
  verb->add_option("--cpu", all.run.cpu,
                   "The CPU that the program is told it runs on, so that it can be restarted on a lesser one: "
                   "host, x86-64-v2, x86-64-v3, x86-64-v4")
      ->envname("CAIRN_CPU")
      ->type_name("LEVEL");
  verb->add_option("--secret-env", all.run.secret_env,
                   "The value of this variable is kept out of images: a restart takes it from its "
                   "own environment (repeatable)")
      ->envname("CAIRN_SECRET_ENV")
      ->type_name("NAME")
      ->take_all()
      ->allow_extra_args(false);
  return verb;
}

void add_other_verbs(CLI::App& app, CommandLine& all) {
  CLI::App* verb = add_verb(app, "checkpoint", "Save a running job", all.checkpoint.common);
  add_job_word(verb, all.checkpoint.job);
  verb->add_flag("--kill", all.checkpoint.kill, "End the job once it is saved")
      ->envname("CAIRN_KILL");
  verb->add_option("--timeout", all.checkpoint.timeout, "Give up after this long (default: 10m)")
      ->envname("CAIRN_TIMEOUT")
      ->type_name("TIME");

  verb = add_verb(app, "restart", "Continue a saved job in place of this command",
                  all.restart.common);
  add_generation_word(verb, all.restart.generation,
                      "DIR or DIR/GENERATION (default: the newest)");
  add_job_options(verb, all.restart.job);
  verb->add_option("--map", all.restart.map,
                   "The file or directory OLD of the job is NEW now (repeatable); names that the "
                   "program itself holds stay as they are")
      ->envname("CAIRN_MAP")
      ->type_name("OLD=NEW")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--env", all.restart.env,
                   "The program sees this variable with this value, without one with that of the "
                   "restart's own environment (repeatable)")
      ->envname("CAIRN_ENV")
      ->type_name("NAME[=VALUE]")
      ->take_all()
      ->allow_extra_args(false);

  add_verb(app, "ps", "List the running jobs of this user on this node", all.ps);

  verb = add_verb(app, "ls", "List the generations of a job", all.ls.common);
  add_generation_word(verb, all.ls.generation, "DIR");

  verb = add_verb(app, "status", "Show a running job", all.status.common);
  add_job_word(verb, all.status.job);

  verb = add_verb(app, "inspect", "Show what is in a generation", all.inspect.common);
  add_generation_word(verb, all.inspect.generation, "DIR or DIR/GENERATION");
  verb->add_flag("--mask-secrets", all.inspect.mask_secrets,
                 "Hide the values of variables whose names speak of passwords, tokens or keys")
      ->envname("CAIRN_MASK_SECRETS");

  verb = add_verb(app, "verify", "Check every byte of a generation, or of all", all.verify.common);
  add_generation_word(verb, all.verify.generation, "DIR or DIR/GENERATION");
  verb->add_flag("--direct", all.verify.direct, "Read from the device, not from the page cache")
      ->envname("CAIRN_DIRECT");

  verb = add_verb(app, "core", "Write a saved process as an ELF core for a debugger",
                  all.core.common);
  add_generation_word(verb, all.core.generation, "DIR or DIR/GENERATION");
  verb->add_option("--pid", all.core.pid, "Which process (default: the only one)")
      ->envname("CAIRN_PID")
      ->type_name("PID");
  verb->add_option("-o,--output", all.core.output, "Where to (default: core.PID)")
      ->envname("CAIRN_OUTPUT")
      ->type_name("FILE");

  verb = add_verb(app, "prune", "Remove all but the newest generations", all.prune.common);
  add_generation_word(verb, all.prune.directory, "DIR");
  verb->add_option("--keep", all.prune.keep, "How many generations stay")
      ->envname("CAIRN_KEEP")
      ->type_name("N");

  verb = add_verb(app, "doctor", "Say what this machine supports and lacks", all.doctor.common);
  verb->add_option("PROGRAM", all.doctor.command, "Say of this program, too, whether it can be run");

  verb = add_verb(app, "support", "Gather what a help desk needs, without memory or secrets",
                  all.support.common);
  add_generation_word(verb, all.support.directory, "DIR or DIR/GENERATION");
  verb->add_option("-o,--output", all.support.output,
                   "Where to (default: cairn-support-TIME.tar.gz)")
      ->envname("CAIRN_OUTPUT")
      ->type_name("FILE");
}

// Where PROGRAM stands in `cairn run [OPTIONS] [--] PROGRAM [ARGUMENTS]` (and of doctor): everything from there on is
// the program's, whatever it looks like.
int find_program(const CLI::App& verb, int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--" || !word.starts_with("-")) return i;
    const CLI::Option* option = verb.get_option_no_throw(word);
    if (option != nullptr && option->get_items_expected() > 0) ++i;
  }
  return argc;
}

}  // namespace

tl::expected<CommandLine, int> parse_command_line(int argc, char** argv) {
  CommandLine all;
  CLI::App app("Cairn saves running programs and brings them back later.", "cairn");
  app.set_version_flag("--version", CAIRN_VERSION);
  app.require_subcommand(1);
  app.footer(kExitCodes);

  CLI::App* run = add_run(app, all);
  int end = argc;
  const std::string first = argc > 1 ? argv[1] : "";
  // The start of a program is measured in milliseconds, and the other verbs' options are one of them.
  if (first != "run") add_other_verbs(app, all);
  if (first == "run")
    end = find_program(*run, argc, argv);
  else if (first == "doctor")
    end = find_program(*app.get_subcommand(first), argc, argv);
  try {
    app.parse(end, argv);
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage));
  }
  if (end < argc && std::string(argv[end]) == "--") ++end;
  (first == "doctor" ? all.doctor.command : all.run.command).assign(argv + end, argv + argc);
  all.verb = app.get_subcommands().front()->get_name();
  return all;
}

std::vector<VerbHelp> describe_verbs() {
  CommandLine all;
  CLI::App app;
  add_run(app, all);
  add_other_verbs(app, all);
  std::vector<VerbHelp> verbs;
  for (const CLI::App* verb : app.get_subcommands({})) {
    VerbHelp help{verb->get_name(), verb->get_description(), {}};
    for (const CLI::Option* option : verb->get_options()) {
      OptionHelp entry;
      for (const std::string& name : option->get_snames()) entry.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) entry.names.push_back("--" + name);
      entry.word = option->get_positional();
      if (entry.word) entry.names = {option->get_name()};
      if (!entry.word && option->get_items_expected() > 0) entry.value = option->get_type_name();
      entry.variable = option->get_envname();
      entry.description = option->get_description();
      help.options.push_back(std::move(entry));
    }
    verbs.push_back(std::move(help));
  }
  return verbs;
}

std::string exit_code_help() { return kExitCodes; }

}  // namespace cairn::cli
