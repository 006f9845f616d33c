"""Ruby, PHP and Elixir: `Gemfile`, `composer.json`, `mix.exs`."""

from collections.abc import Iterator, Mapping

from apr.init.facts import Command, Fact, Purpose
from apr.init.project import Project, table

MANIFESTS = frozenset({"Gemfile", "composer.json", "mix.exs"})
_COMPOSER: Mapping[str, Purpose] = {
    "test": "test",
    "lint": "lint",
    "cs": "lint",
    "cs-fix": "format",
    "phpstan": "types",
    "analyse": "types",
}


def look(project: Project) -> Iterator[Fact]:
    """Yield what the project's files say."""
    if "Gemfile" in project.top:
        yield Command("install", "bundle install", "Gemfile")
        if (project.root / ".rspec").is_file() or "rspec" in project.text("Gemfile"):
            yield Command("test", "bundle exec rspec", "Gemfile")
        elif "Rakefile" in project.top and "test" in project.text("Rakefile").casefold():
            yield Command("test", "bundle exec rake test", "Rakefile")
        if ".rubocop.yml" in project.top:
            yield Command("lint", "bundle exec rubocop", ".rubocop.yml")
    if "composer.json" in project.top:
        yield Command("install", "composer install", "composer.json")
        scripts = table(project.json("composer.json"), "scripts")
        for name, purpose in _COMPOSER.items():
            if name in scripts:
                yield Command(purpose, f"composer {name}", "composer.json")
        if "test" not in scripts and {"phpunit.xml", "phpunit.xml.dist"} & project.top:
            yield Command("test", "vendor/bin/phpunit", "phpunit.xml")
    if "mix.exs" in project.top:
        yield Command("install", "mix deps.get", "mix.exs")
        yield Command("test", "mix test", "mix.exs")
        if (project.root / ".formatter.exs").is_file():
            yield Command("format", "mix format", ".formatter.exs")
