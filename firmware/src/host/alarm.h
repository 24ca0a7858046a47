// The one alarm of the chip, above all tasks.
#pragma once
namespace host {
void alarm_begin();
}
