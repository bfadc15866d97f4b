<?php
// Judges pairs by composer/semver, whose autoload.php is the argument: see
// ../../reference_test.go.
require $argv[1];

use Composer\Semver\Comparator;
use Composer\Semver\VersionParser;

$parser = new VersionParser();
$normalize = function ($text) use ($parser) {
    try {
        return $parser->normalize($text);
    } catch (UnexpectedValueException $e) {
        return null;
    }
};
while (($line = fgets(STDIN)) !== false) {
    [$a, $b] = array_map($normalize, explode("\t", rtrim($line, "\n")));
    $order = 0;
    if ($a !== null && $b !== null) {
        $order = Comparator::lessThan($a, $b) ? -1 : (Comparator::greaterThan($a, $b) ? 1 : 0);
    }
    // A branch is not for comparing.
    $valid = fn ($version) => (int) ($version !== null && strpos($version, 'dev-') !== 0);
    echo $valid($a), ' ', $valid($b), ' ', $order, "\n";
}
