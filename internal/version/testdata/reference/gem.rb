# Judges pairs by RubyGems: see ../../reference_test.go.
require "rubygems"

STDIN.each_line(chomp: true) do |line|
  a, b = line.split("\t", -1).map { |text| Gem::Version.correct?(text) ? Gem::Version.new(text) : nil }
  puts "#{a ? 1 : 0} #{b ? 1 : 0} #{a && b ? a <=> b : 0}"
end
